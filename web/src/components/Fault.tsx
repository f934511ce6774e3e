// Fault.tsx - what went wrong, and a way to try again.
import { asked } from '../api.ts';

export function Fault({ text }: { text: string }) {
    if (!text) return null;
    return (
        <div class="notice fault" role="alert">
            <p>{text}</p>
            <button type="button" onClick={() => asked.value++}>
                Try again
            </button>
        </div>
    );
}
