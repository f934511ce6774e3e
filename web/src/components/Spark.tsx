// Spark.tsx - the runs of a project in the last 24 hours, as tall as the row.
import { useAsk } from '../ask.ts';
import { count, time } from '../format.ts';
import { histogram } from '../runs.ts';
import type { Histogram, Project } from '../runs.ts';

const HOURS = 24;
const DAY_MS = 864e5;
const FRESH_MS = 60_000;
const [WIDTH, HEIGHT] = [96, 18];

// Rows come and go while one scrolls; what was asked a minute ago will do.
const kept = new Map<string, { at: number; data: Histogram }>();

async function dayOf(id: string, signal: AbortSignal): Promise<Histogram> {
    const now = Date.now();
    const there = kept.get(id);
    if (there && now - there.at < FRESH_MS) return there.data;
    const which = { project: id, filter: null, roots: false, from: now - DAY_MS, to: now };
    const data = await histogram(which, HOURS, signal);
    kept.set(id, { at: now, data });
    return data;
}

export function Spark({ project }: { project: Project }) {
    const lately = time(project.last_run_start_time) > Date.now() - DAY_MS;
    const { value } = useAsk(lately ? (signal) => dayOf(project.id, signal) : null, [project.id, lately]);
    if (!value) return null;
    const most = Math.max(1, ...value.count);
    const each = WIDTH / Math.max(1, value.count.length);
    const runs = value.count.reduce((sum, one) => sum + one, 0);
    return (
        <svg class="spark" width={WIDTH} height={HEIGHT} role="img" aria-label={`${count(runs)} runs`}>
            {value.count.map((n, i) => {
                const all = n ? Math.max(1.5, (n / most) * HEIGHT) : 0;
                const bad = n ? (all * value.errors[i]!) / n : 0;
                return (
                    <g key={i}>
                        <rect class="good" x={i * each} width={Math.max(1, each - 1)} y={HEIGHT - all} height={all} />
                        <rect class="fault" x={i * each} width={Math.max(1, each - 1)} y={HEIGHT - bad} height={bad} />
                    </g>
                );
            })}
        </svg>
    );
}
