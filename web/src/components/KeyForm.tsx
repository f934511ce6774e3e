// KeyForm.tsx - asks for the key when the server wants one.
import { giveKey, keyWanted } from '../api.ts';

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
                    ? 'This server wants a key: the one it was started with.'
                    : 'The server does not take this key.'}{' '}
                It is kept until this tab is closed.
            </p>
            <label>
                Key{' '}
                <input name="key" type="password" autocomplete="off" required aria-describedby="key-why" autofocus />
            </label>
            <button type="submit">Use it</button>
        </form>
    );
}
