// truth.mjs - what the server must show, of all that it acknowledged: runs (by merge.mjs),
// feedback, and what was deleted.
//
// An effect is one thing that a request does:
//
//     { does: 'layer', op: 'post' | 'patch', id, fields }      as merge.mjs has it
//     { does: 'file', op: 'attachment', id, name, type, body }
//     { does: 'feedback', id, run, key, score }      { does: 'forget', id }
//     { does: 'delete run' | 'delete trace', id }
//     { does: 'delete project', id, name }
import { Runs } from '../../e2e/lib/merge.mjs';

export class Truth {
    constructor() {
        this.runs = new Runs();
        this.feedback = new Map(); // id -> { run, key, score }
        this.goneRuns = new Set(); // those that were in a project when it went, too
        this.goneTraces = new Set();
        this.goneProjects = new Set(); // ids
    }

    copy() {
        const copy = Object.assign(new Truth(), structuredClone({ ...this, runs: null }));
        copy.runs = new Runs();
        for (const [id, run] of this.runs.all) {
            const parts = Object.entries(run).map(([name, map]) => [name, new Map(map)]);
            copy.runs.all.set(id, Object.fromEntries(parts));
        }
        return copy;
    }

    apply(effect) {
        const { does, id } = effect;
        if (does === 'layer' || does === 'file') this.runs.add(effect);
        else if (does === 'feedback') this.feedback.set(id, effect);
        else if (does === 'forget') this.feedback.delete(id);
        else if (does === 'delete run') this.goneRuns.add(id);
        else if (does === 'delete trace') this.goneTraces.add(id);
        else this.loseProject(effect);
    }

    loseProject({ id, name }) {
        // Told again it is about the runs of then, not about those of a new project.
        if (this.goneProjects.has(id)) return;
        this.goneProjects.add(id);
        for (const run of this.inProject(name)) this.goneRuns.add(run);
    }

    exists(id) {
        const run = this.runs.all.get(id);
        return run !== undefined && run.post.size + run.patch.size > 0;
    }

    isGone(id) {
        if (this.goneRuns.has(id)) return true;
        return this.runs.all.has(id) && this.goneTraces.has(this.runs.trace(id));
    }

    shows(id) {
        return this.exists(id) && !this.isGone(id);
    }

    shown() {
        return this.runs.ids().filter((id) => !this.isGone(id));
    }

    project(id) {
        return this.runs.value(id, 'session_name') ?? 'default';
    }

    inProject(name) {
        return this.shown().filter((id) => this.project(id) === name);
    }

    inTrace(trace) {
        return this.shown().filter((id) => this.runs.trace(id) === trace);
    }

    feedbackOf(run) {
        if (this.isGone(run)) return [];
        return [...this.feedback.values()].filter((one) => one.run === run);
    }
}
