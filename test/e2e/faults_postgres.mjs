// faults_postgres.mjs - PostgreSQL is killed, hangs, answers late or never: nothing that
// was acknowledged is lost, nothing is there twice, and it is back soon.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { Deployment, Ledger, RSS_MAX, refuses, until } from './lib/production.mjs';

// What the server says of a COMMIT that it has done, and what a client sends.
const DONE = 'C\0\0\0\x0bCOMMIT\0';
const ASKED = '\0commit\0';
const ROUNDS = Number(process.env.ROUNDS ?? 20);

describe('PostgreSQL', () => {
    let d;
    let ledger;
    before(async () => {
        d = await Deployment.start({ own: { postgres: { sync: true } } });
    });
    beforeEach(async () => (ledger = await Ledger.begin(d)));
    afterEach(() => d.calm());
    after(() => d.close());

    // Under load: `fault`, refused while it lasts, `mend`, back, and nothing is lost.
    const lasting = async (fault, mend) => {
        const load = ledger.load();
        await ledger.more(20);
        await fault();
        await refuses(d.node, ledger);
        assert.equal((await d.node.get('/health')).status, 200);
        await mend();
        await ledger.back();
        await ledger.more(20);
        await load.stop();
        assert.ok(ledger.seen(503) > 0);
        await ledger.verify();
    };

    it('killed with -9, and started again', () =>
        lasting(
            () => d.own.postgres.kill(),
            () => d.own.postgres.up(),
        ));
    it('stopped, and started again', () =>
        lasting(
            () => d.own.postgres.down(),
            () => d.own.postgres.up(),
        ));
    it('not there: connections are refused', () =>
        lasting(
            () => d.postgres.refuse(),
            () => d.postgres.pass(),
        ));
    it('hangs: takes everything and says nothing', () =>
        lasting(
            () => d.postgres.hang(),
            () => d.postgres.pass(),
        ));
    it('hangs: does everything and says nothing', () =>
        lasting(
            () => d.postgres.hang({ client: false }),
            () => d.postgres.pass(),
        ));

    // A proxy asks once a second; it is not kept for as long as a read would be.
    it('hangs: /ready does not wait for its deadline', async () => {
        assert.equal((await d.node.get('/ready')).status, 200);
        await d.postgres.hang();
        const answer = await d.node.get('/ready');
        assert.equal(answer.status, 503);
        assert.match(answer.text, /the index did not answer within 2 s/);
        await d.postgres.pass();
        await ledger.back();
        await ledger.verify();
    });

    it('a read while it is away is an error, never "not found" and never empty', async () => {
        const batch = ledger.makeBatch();
        assert.equal((await ledger.post(d.node, batch)).status, 201);
        await d.postgres.refuse();
        await refuses(d.node, ledger);
        for (let i = 0; i < 50; i++) await ledger.read(d.node);
        assert.equal(ledger.seen('read 404'), 0);
        assert.ok(ledger.seen('read 503') > 0);
        await d.postgres.pass();
        await ledger.back();
        await ledger.verify();
    });

    it('COMMIT is answered late: the batch is acknowledged, later', async () => {
        const rule = d.postgres.when('server', DONE, 'hold');
        const posted = ledger.post(d.node);
        await rule.hit;
        let answered = false;
        posted.then(() => (answered = true));
        // Others are served meanwhile.
        assert.equal((await d.node.get('/health')).status, 200);
        assert.ok(!answered, 'not before PostgreSQL has said so');
        rule.release();
        assert.equal((await posted).status, 201);
        await ledger.verify();
    });

    it('COMMIT is never answered: it finds out that it was done', async () => {
        const rule = d.postgres.when('server', DONE, 'drop');
        const answer = await ledger.post(d.node);
        assert.equal(rule.hits, 1);
        assert.ok([201, 503].includes(answer.status), String(answer.status));
        await ledger.back();
        await ledger.verify();
        if (answer.status === 503) assert.equal(ledger.seen('open there'), 1);
    });

    it('the connection ends instead of an answer to COMMIT: 201, since it was done', async () => {
        for (const action of ['cut', 'reset']) {
            const rule = d.postgres.when('server', DONE, action);
            const answer = await ledger.post(d.node);
            assert.equal(rule.hits, 1);
            assert.equal(answer.status, 201, answer.text);
        }
        await ledger.verify();
    });

    it('the connection ends before COMMIT is heard: 503, and nothing is there', async () => {
        const rule = d.postgres.when('client', ASKED, 'cut before');
        const answer = await ledger.post(d.node);
        assert.equal(rule.hits, 1);
        assert.equal(answer.status, 503, answer.text);
        await ledger.back();
        await ledger.verify();
        assert.equal(ledger.seen('open there'), 0);
    });

    it(`${ROUNDS} rounds of answers lost and connections cut, under load`, async () => {
        const load = ledger.load();
        await ledger.more(5);
        const faults = [
            () => d.postgres.when('server', DONE, 'cut').hit,
            () => d.postgres.when('server', DONE, 'drop').hit,
            () => d.postgres.when('server', DONE, 'reset').hit,
            () => d.postgres.when('client', ASKED, 'cut before').hit,
            () => d.postgres.when('client', ASKED, 'cut').hit,
            () => d.postgres.reset(),
            () => d.postgres.cut(),
        ];
        for (let round = 0; round < ROUNDS; round++) {
            await faults[round % faults.length]();
            await ledger.more(1);
        }
        await load.stop();
        await ledger.back();
        await ledger.verify();
    });

    it('connections that come and go leave nothing behind', async () => {
        const open = async () =>
            Number(
                await d.database.sql(
                    `select count(*) from pg_stat_activity where datname = '${d.database.name}' and pid <> pg_backend_pid()`,
                ),
            );
        await ledger.back();
        const usual = await open();
        for (let i = 0; i < 10; i++) {
            d.postgres.reset();
            await ledger.back();
        }
        await until('as few sessions as before', async () => (await open()) <= usual + 2);
        assert.ok(d.node.rss() <= RSS_MAX);
        await ledger.verify();
    });
});
