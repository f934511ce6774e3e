// Fault.tsx - what went wrong, and a way to try again, which what passes does not need.
import { asked } from '../api.ts';
import type { ApiError } from '../api.ts';

export const AGAIN = 'It is asked again by itself.';

export function Fault({ of }: { of: ApiError | null }) {
    if (!of || of.status === 401) return null; // the key is asked for
    return (
        <div class="notice fault" role="alert">
            <p>
                {of.message}
                {of.passes && <> {AGAIN}</>}
            </p>
            <button type="button" onClick={() => asked.value++}>
                Try again
            </button>
        </div>
    );
}
