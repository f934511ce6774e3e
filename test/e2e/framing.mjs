// framing.mjs - HTTP said wrongly: whatever is ambiguous is refused with 400 and
// the connection is closed; whatever is right is served.  Raw sockets.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Wire, head, run, uuid } from './lib/client.mjs';
import { Server } from './lib/server.mjs';

describe('framing', () => {
    let server;
    before(async () => {
        server = await Server.start();
    });
    after(() => server.close());

    const body = () => JSON.stringify([run({ id: uuid() })]);
    // Everything that comes back until the connection closes, or it is quiet.
    const say = async (text, { ms = 5000 } = {}) => {
        const wire = await Wire.open(server);
        wire.send(text);
        const answers = [];
        for (;;) {
            const answer = await wire.answer(answers.length === 0 ? ms : 700);
            if (!answer) break;
            answers.push(answer);
        }
        const closed = await wire.untilClosed(300);
        wire.close();
        return { answers, closed };
    };
    const refuse = (what, text) =>
        it(what, async () => {
            const { answers, closed } = await say(typeof text === 'function' ? text() : text);
            assert.equal(answers.length, 1, 'one answer, none for what was smuggled');
            assert.equal(answers[0].status, 400, answers[0].text);
            assert.equal(typeof JSON.parse(answers[0].text).detail, 'string');
            assert.ok(closed, 'the connection is closed');
        });
    const raw =
        (lines, rest = '') =>
        () =>
            `${lines.join('\r\n').replaceAll('HOST', server.authority)}\r\n\r\n${rest}`;
    const smuggled = () => `GET /health HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`;
    const post = (headers, rest) => () =>
        raw(
            ['POST /runs HTTP/1.1', 'Host: HOST', 'Content-Type: application/json', ...headers],
            rest,
        )();

    describe('refused: lengths', () => {
        refuse('Content-Length and Transfer-Encoding', () =>
            post(['Content-Length: 4', 'Transfer-Encoding: chunked'], `0\r\n\r\n${smuggled()}`)(),
        );
        refuse('Transfer-Encoding and Content-Length', () =>
            post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `0\r\n\r\n${smuggled()}`)(),
        );
        refuse('two lengths that differ', () =>
            post(['Content-Length: 2', 'Content-Length: 3'], `[] ${smuggled()}`)(),
        );
        refuse('two lengths that agree', () =>
            post(['Content-Length: 2', 'Content-Length: 2'], `[]${smuggled()}`)(),
        );
        refuse('a list of lengths', () => post(['Content-Length: 2, 2'], `[]${smuggled()}`)());
        for (const length of [
            '+2',
            '-2',
            '0x2',
            '2 2',
            '2.0',
            '2a',
            'two',
            '',
            '"2"',
            '99999999999999999999999',
            '18446744073709551618',
            '２',
        ])
            refuse(`the length "${length}"`, () =>
                post(
                    [`Content-Length: ${Buffer.from(length).toString('latin1')}`],
                    `[]${smuggled()}`,
                )(),
            );
    });

    describe('refused: transfer codings', () => {
        for (const coding of [
            'gzip',
            'gzip, chunked',
            'chunked, gzip',
            'chunked, chunked',
            'xchunked',
            'chunked1',
            'identity',
            '"chunked"',
            'chunked;a=b',
            ', chunked',
            'ch unked',
            '',
        ])
            refuse(`Transfer-Encoding: ${coding}`, () =>
                post([`Transfer-Encoding: ${coding}`], `0\r\n\r\n${smuggled()}`)(),
            );
        refuse('two of them', () =>
            post(
                ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
                `0\r\n\r\n${smuggled()}`,
            )(),
        );
        refuse('with HTTP/1.0', () =>
            raw(
                ['POST /runs HTTP/1.0', 'Host: HOST', 'Transfer-Encoding: chunked'],
                `0\r\n\r\n${smuggled()}`,
            )(),
        );
    });

    describe('refused: chunks', () => {
        const chunked = (rest) => post(['Transfer-Encoding: chunked'], rest);
        refuse('a size over 16 digits', chunked('00000000000000002\r\n[]\r\n0\r\n\r\n'));
        refuse('a size that wraps', chunked('FFFFFFFFFFFFFFFFF\r\n[]\r\n0\r\n\r\n'));
        refuse('a size that is none', chunked('zz\r\n[]\r\n0\r\n\r\n'));
        refuse('a signed size', chunked('+2\r\n[]\r\n0\r\n\r\n'));
        refuse('a size with 0x', chunked('0x2\r\n[]\r\n0\r\n\r\n'));
        refuse('an empty size', chunked('\r\n[]\r\n0\r\n\r\n'));
        refuse('a space before the size', chunked(' 2\r\n[]\r\n0\r\n\r\n'));
        refuse('a chunk longer than it says', chunked('1\r\n[]\r\n0\r\n\r\n'));
        refuse('a size line that ends in a bare LF', chunked('2\n[]\r\n0\r\n\r\n'));
        refuse('a chunk that ends in a bare LF', chunked('2\r\n[]\n0\r\n\r\n'));
    });

    describe('refused: the head', () => {
        const get = (...lines) => raw(['GET /health HTTP/1.1', 'Host: HOST', ...lines]);
        refuse('no Host', raw(['GET /health HTTP/1.1', 'X-A: b']));
        refuse('two Hosts', raw(['GET /health HTTP/1.1', 'Host: HOST', 'Host: HOST']));
        refuse('an empty Host', raw(['GET /health HTTP/1.1', 'Host:']));
        refuse(
            'bare LF after the request line',
            () => `GET /health HTTP/1.1\nHost: ${server.authority}\r\n\r\n`,
        );
        refuse(
            'bare LF after a field',
            () => `GET /health HTTP/1.1\r\nHost: ${server.authority}\nX-A: b\r\n\r\n`,
        );
        refuse(
            'bare LF at the end',
            () => `GET /health HTTP/1.1\r\nHost: ${server.authority}\r\n\n`,
        );
        refuse('a folded field', get('X-A: b', '  c'));
        refuse('a space before the colon', get('X-A : b'));
        refuse(
            'a space at the start of the first field',
            raw(['GET /health HTTP/1.1', ' Host: HOST']),
        );
        refuse('a field without colon', get('X-A'));
        refuse('a field without name', get(': b'));
        refuse('a NUL in a value', get('X-A: b\0c'));
        refuse('a control byte in a value', get('X-A: b\x01c'));
        refuse('a control byte in a name', get('X\x01A: b'));
        refuse(
            'a CR that no LF follows, hiding a field',
            () =>
                `POST /runs HTTP/1.1\r\nHost: ${server.authority}\r\nX-A:\rTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n[]`,
        );
        refuse('a CR inside a value', get('X-A: b\rc'));
        refuse(
            'an end of the head by CR LF CR and something else',
            () => `GET /health HTTP/1.1\r\nHost: ${server.authority}\r\n\rX${smuggled()}`,
        );
        refuse('HTTP/2.0', raw(['GET /health HTTP/2.0', 'Host: HOST']));
        refuse('HTTP/1.2', raw(['GET /health HTTP/1.2', 'Host: HOST']));
        refuse('http/1.1 in lower case', raw(['GET /health http/1.1', 'Host: HOST']));
        refuse('no version', raw(['GET /health', 'Host: HOST']));
        refuse('two spaces in the request line', raw(['GET  /health HTTP/1.1', 'Host: HOST']));
        refuse('a tab in the request line', raw(['GET\t/health HTTP/1.1', 'Host: HOST']));
        refuse('a space in the target', raw(['GET /hea lth HTTP/1.1', 'Host: HOST']));
        refuse('a control byte in the target', raw(['GET /hea\x01lth HTTP/1.1', 'Host: HOST']));
        refuse('a method that is none', raw(['G@T /health HTTP/1.1', 'Host: HOST']));
        refuse(
            'TLS on the plain port',
            () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + '\x00'.repeat(50),
        );
    });

    describe('served', () => {
        it('chunks of any size, with extensions and a trailer', async () => {
            const text = body();
            const half = text.length >> 1;
            const chunk = (piece, more = '') =>
                `${piece.length.toString(16)}${more}\r\n${piece}\r\n`;
            for (const rest of [
                `${chunk(text)}0\r\n\r\n`,
                `${chunk(text.slice(0, half))}${chunk(text.slice(half))}0\r\n\r\n`,
                `${chunk(text, ';name=value')}0\r\n\r\n`,
                `${chunk(text)}0\r\nX-Trailer: yes\r\n\r\n`,
                `${text.length.toString(16).toUpperCase()}\r\n${text}\r\n000\r\n\r\n`,
            ]) {
                const { answers } = await say(post(['Transfer-Encoding: chunked'], rest)());
                assert.equal(answers[0]?.status, 201, answers[0]?.text);
            }
        });
        it('several requests in one packet are answered in order', async () => {
            const [id] = await server.store([run()]);
            const text = body();
            const wire = await Wire.open(server);
            wire.send(
                head(server, 'GET', `/runs/${id}`) +
                    head(server, 'GET', `/runs/${uuid()}`) +
                    head(server, 'POST', '/runs', { 'Content-Length': text.length }) +
                    text +
                    head(server, 'HEAD', `/runs/${id}`) +
                    head(server, 'GET', `/runs/${id}?fields=id`),
            );
            assert.equal((await wire.answer()).status, 200);
            assert.equal((await wire.answer()).status, 404);
            assert.equal((await wire.answer()).status, 201);
            assert.equal((await wire.answer(5000, { head: true })).status, 200);
            assert.equal((await wire.answer()).text, `{"id":"${id}"}`);
            wire.close();
        });
        it('a connection is kept after errors of content', async () => {
            const wire = await Wire.open(server);
            for (const [text, status] of [
                ['{}x', 422],
                ['[]', 400],
                ['[{}]', 422],
                [body(), 201],
                ['nope', 422],
                [body(), 201],
            ]) {
                wire.send(
                    head(server, 'POST', '/runs', {
                        'Content-Type': 'application/json',
                        'Content-Length': text.length,
                    }) + text,
                );
                const answer = await wire.answer();
                // An object may be refused before its end is read; then the rest is no JSON to anyone.
                if (text === '{}x') assert.ok([422, 202].includes(answer.status));
                else assert.equal(answer.status, status, answer.text);
            }
            wire.close();
        });
        it('a thousand requests one after another on one connection', async () => {
            const [id] = await server.store([run()]);
            const wire = await Wire.open(server);
            for (let i = 0; i < 1000; i++) {
                wire.send(head(server, 'GET', `/runs/${id}?fields=id`));
                assert.equal((await wire.answer()).status, 200);
            }
            wire.close();
        });
        it('Connection: close is honoured', async () => {
            const wire = await Wire.open(server);
            wire.send(head(server, 'GET', '/health', { Connection: 'close' }));
            const answer = await wire.answer();
            assert.equal(answer.status, 200);
            assert.match(answer.headers.connection ?? '', /close/i);
            assert.ok(await wire.untilClosed(5000));
            wire.close();
        });
        it('HTTP/1.0 is served and closed', async () => {
            const wire = await Wire.open(server);
            wire.send(`GET /health HTTP/1.0\r\nHost: ${server.authority}\r\n\r\n`);
            await wire.untilClosed(5000);
            assert.match(wire.received.toString(), /^HTTP\/1\.[01] 200 /);
            assert.ok(wire.closed);
            wire.close();
        });
        it('an absolute target, and tabs and spaces around a value', async () => {
            const { answers } = await say(
                `GET http://${server.authority}/health HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`,
            );
            assert.equal(answers[0]?.status, 200);
            const spaced = await say(
                `GET /health HTTP/1.1\r\nHost: \t ${server.authority} \t \r\nX-A:\r\n\r\n`,
            );
            assert.equal(spaced.answers[0]?.status, 200);
        });
        it('an empty line before the request', async () => {
            const { answers } = await say(`\r\n${smuggled()}`);
            assert.equal(answers[0]?.status, 200);
        });
        it('a head that comes byte by byte', async () => {
            const wire = await Wire.open(server);
            for (const c of head(server, 'GET', '/health', { 'X-Long': 'y'.repeat(200) })) {
                wire.send(c);
                await new Promise(setImmediate);
            }
            assert.equal((await wire.answer()).status, 200);
            wire.close();
        });
        it('a client that leaves in the middle hurts nobody, and stores nothing', async () => {
            const ids = [];
            for (let i = 0; i < 60; i++) {
                const id = uuid();
                const text = JSON.stringify([run({ id, inputs: { text: 'x'.repeat(20_000) } })]);
                const wire = await Wire.open(server);
                wire.send(
                    head(server, 'POST', '/runs', { 'Content-Length': text.length }) +
                        text.slice(0, 10 + i * 300),
                );
                if (i % 2) wire.socket.resetAndDestroy?.();
                wire.close();
                ids.push(id);
            }
            assert.equal((await server.get('/health')).status, 200);
            assert.equal((await server.post('/runs/batch', ids)).text, '{"runs":[],"count":0}');
        });
    });
});
