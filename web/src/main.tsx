// main.tsx - the page: its frame, and the screen that the address names.
import './style.css';
import { render } from 'preact';
import { Frame } from './Frame.tsx';
import { startKeys } from './keys.ts';
import { startRouter } from './router.ts';
import { startTheme } from './theme.ts';

startTheme();
startRouter();
startKeys();
render(<Frame />, document.getElementById('app')!);
