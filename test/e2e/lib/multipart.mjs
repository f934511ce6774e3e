// multipart.mjs - bodies of POST /runs/multipart, written and read by hand.
//
// A part is { name, type, body }.  Its length is said in one of two ways: behind the type
// (as from JavaScript) or in a header of its own (as from Python).
import assert from 'node:assert/strict';

export function writeParts(parts, boundary, { python = false } = {}) {
    const pieces = [];
    for (const { name, type = 'application/json', body } of parts) {
        const bytes = Buffer.from(body);
        const said = python
            ? `Content-Type: ${type}\r\nContent-Length: ${bytes.length}`
            : `Content-Type: ${type}; length=${bytes.length}`;
        pieces.push(
            Buffer.from(
                `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n${said}\r\n\r\n`,
            ),
            bytes,
            Buffer.from('\r\n'),
        );
    }
    pieces.push(Buffer.from(`--${boundary}--\r\n`));
    return Buffer.concat(pieces);
}

export function readParts(bytes, contentType) {
    const boundary = /boundary="?([^";]+)"?/.exec(contentType)[1];
    const parts = [];
    let at = 0;
    for (;;) {
        const line = `--${boundary}`;
        assert.equal(bytes.toString('latin1', at, at + line.length), line, 'a boundary');
        at += line.length;
        if (bytes.toString('latin1', at, at + 2) === '--') return parts;
        const end = bytes.indexOf('\r\n\r\n', at);
        const head = bytes.toString('utf8', at, end);
        const length = /content-length:\s*(\d+)/i.exec(head) ?? /;\s*length=(\d+)/i.exec(head);
        const from = end + 4;
        const to = from + Number(length[1]);
        parts.push({
            name: /name="([^"]*)"/i.exec(head)[1],
            type: /content-type:\s*([^;\r\n]+)/i.exec(head)[1],
            body: bytes.subarray(from, to),
        });
        assert.equal(bytes.toString('latin1', to, to + 2), '\r\n', 'the length is the length');
        at = to + 2;
    }
}
