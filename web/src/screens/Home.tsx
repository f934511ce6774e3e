export function Home() {
    return <h1>Rundlet</h1>;
}
