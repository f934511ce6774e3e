// KeyForm.tsx - asks for the key when the server wants one.
import { apiKey, giveKey, keyWanted } from '../api.ts';

// As docs/operations.md has it.
const LEAST = 8;
const MOST = 512;

const Source = () => (
    <>
        <code>--api-key</code>, <code>--api-key-file</code> or <code>RUNDLET_API_KEY</code>
    </>
);

// What is wrong with a key that was not taken, as far as that can be seen.
function wrongWith(key: string): string {
    if (/[^\x21-\x7e]/.test(key)) return 'It has a space, or a character that keys have not.';
    if (key.length < LEAST || key.length > MOST) return `It has ${key.length} characters; keys have ${LEAST} to ${MOST}.`;
    if (/^lsv2_|^ls__/.test(key)) return 'It looks like a key of LangSmith; this server has one of its own.';
    return 'It is another one than the server was started with.';
}

export function KeyForm() {
    const wanted = keyWanted.value;
    if (!wanted) return null;
    return (
        <form
            class="notice"
            onSubmit={(event) => {
                event.preventDefault();
                giveKey(String(new FormData(event.currentTarget).get('key') ?? '').trim());
            }}
        >
            <p id="key-why">
                {wanted === 'missing'
                    ? 'This server wants a key: '
                    : `The server does not take this key. ${wrongWith(apiKey())} Wanted is `}
                the one that it was started with, as <Source />; ask who runs it. It is kept until this tab is closed.
            </p>
            <label>
                Key{' '}
                <input name="key" type="password" autocomplete="off" required aria-describedby="key-why" autofocus />
            </label>
            <button type="submit">Use it</button>
        </form>
    );
}
