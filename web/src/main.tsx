// main.tsx - the page: its frame, and the screen that the address names.
import './style.css';
import './trace/trace.css';
import './compare/compare.css';
import { render } from 'preact';
import { Frame } from './Frame.tsx';
import { startKeys } from './keys.ts';
import { startRouter } from './router.ts';
import { startTheme } from './theme.ts';

startTheme();
startRouter();
startKeys();
render(<Frame />, document.getElementById('app')!);
// Whoever looks at runs opens one soon.
(globalThis.requestIdleCallback ?? setTimeout)(() => void import('./trace/TracePage.tsx').catch(() => {}));
