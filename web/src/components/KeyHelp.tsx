// KeyHelp.tsx - the keys of the screen that is there.
import { linesOf, scopes, setSingleKeys, singleKeys } from '../keys.ts';
import { Dialog } from './Dialog.tsx';
import { Keys } from './Keys.tsx';

export function KeyHelp({ onClose, onPalette }: { onClose: () => void; onPalette: () => void }) {
    return (
        <Dialog
            title="Keys"
            onClose={onClose}
            onKeyDown={(event) => {
                if (event.key !== 'k' || !(event.ctrlKey || event.metaKey)) return;
                event.preventDefault();
                onPalette();
            }}
        >
            <p>
                <button type="button" onClick={onPalette}>
                    Find what to do <Keys names={['Mod+k']} />
                </button>
            </p>
            {[...scopes.value].reverse().map((scope) => (
                <section key={scope.title}>
                    <h3>{scope.title}</h3>
                    <dl class="keys">
                        {linesOf(scope).map(({ does, names }) => (
                            <div key={does}>
                                <dt>
                                    <Keys names={names} />
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
