export function First() {
    return <h1>Waiting for your first run…</h1>;
}
