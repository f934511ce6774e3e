// KeyHelp.tsx - the keys of the screen that is there.
import { scopes, setSingleKeys, singleKeys } from '../keys.ts';
import { Dialog } from './Dialog.tsx';

const shown: Record<string, string> = {
    ArrowUp: '↑',
    ArrowDown: '↓',
    ArrowLeft: '←',
    ArrowRight: '→',
    Escape: 'Esc',
    ' ': 'Space',
};

const Key = ({ name }: { name: string }) => (
    <>
        {name.split(/ (?=.)|\+(?=.)/).map((part) => (
            <kbd key={part}>{part === 'Mod' ? 'Ctrl' : (shown[part] ?? part)}</kbd>
        ))}
    </>
);

// Keys that do the same stand in one line.
function linesOf(keys: (typeof scopes.value)[number]['keys']): [string, string[]][] {
    const lines = new Map<string, string[]>();
    for (const [name, act] of Object.entries(keys)) {
        if (typeof act === 'function') continue;
        lines.set(act.does, [...(lines.get(act.does) ?? []), name]);
    }
    return [...lines];
}

export function KeyHelp({ onClose }: { onClose: () => void }) {
    return (
        <Dialog title="Keys" onClose={onClose}>
            {[...scopes.value].reverse().map(({ title, keys }) => (
                <section key={title}>
                    <h3>{title}</h3>
                    <dl class="keys">
                        {linesOf(keys).map(([does, names]) => (
                            <div key={does}>
                                <dt>
                                    {names.map((name, i) => (
                                        <span key={name}>
                                            {i > 0 && ' or '}
                                            <Key name={name} />
                                        </span>
                                    ))}
                                </dt>
                                <dd>{does}</dd>
                            </div>
                        ))}
                    </dl>
                </section>
            ))}
            <label>
                <input
                    type="checkbox"
                    checked={singleKeys.value}
                    onChange={(event) => setSingleKeys(event.currentTarget.checked)}
                />{' '}
                Single letters are commands
            </label>
        </Dialog>
    );
}
