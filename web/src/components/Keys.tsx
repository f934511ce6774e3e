// Keys.tsx - the names of keys, as they stand on a keyboard.
const shown: Record<string, string> = {
    ArrowUp: '↑',
    ArrowDown: '↓',
    ArrowLeft: '←',
    ArrowRight: '→',
    Escape: 'Esc',
    Mod: /^(Mac|iP)/.test(navigator.platform) ? '⌘' : 'Ctrl',
    ' ': 'Space',
};

// One key, some at once ("Mod+k"), or one after the other ("g p").
const One = ({ name }: { name: string }) => (
    <>
        {name.split(/ (?=.)|\+(?=.)/).map((part) => (
            <kbd key={part}>{shown[part] ?? part}</kbd>
        ))}
    </>
);

// Any of them.
export const Keys = ({ names }: { names: readonly string[] }) => (
    <>
        {names.map((name, i) => (
            <span key={name}>
                {i > 0 && ' or '}
                <One name={name} />
            </span>
        ))}
    </>
);
