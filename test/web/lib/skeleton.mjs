// skeleton.mjs - skeletons that no server made: large ones, and broken ones.

// What GET /traces/{id}/skeleton answers on this page, by id: an object, or { status, detail }.
// Any other trace is the server's.
export async function giveSkeletons(page, skeletons) {
    const bodies = new Map(
        Object.entries(skeletons).map(([id, one]) => [
            id,
            one.detail
                ? { status: one.status, json: { detail: one.detail } }
                : { body: JSON.stringify(one), contentType: 'application/json', headers: { etag: '"one"' } },
        ]),
    );
    await page.route(/\/traces\/[^/]+\/skeleton$/, async (route) => {
        const given = bodies.get(route.request().url().split('/').at(-2));
        await (given ? route.fulfill(given) : route.continue());
    });
}
