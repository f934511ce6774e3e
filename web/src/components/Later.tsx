// Later.tsx - a screen whose code comes when it is first shown.
import { useEffect, useState } from 'preact/hooks';
import type { ComponentType } from 'preact';

export function Later<P extends object>({ load, props }: { load: () => Promise<ComponentType<P>>; props: P }) {
    const [Screen, setScreen] = useState<ComponentType<P> | null>(null);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
        load().then(
            (screen) => setScreen(() => screen),
            () => setFailed(true),
        );
    }, []);
    if (failed)
        return (
            <section class="empty" role="alert">
                <h1>This part of the page did not come</h1>
                <p>The server does not answer, or is another version by now: load the page again.</p>
            </section>
        );
    return Screen && <Screen {...props} />;
}
