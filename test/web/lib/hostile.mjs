// hostile.mjs - texts that would run, load or look like something else if the page ever took
// them for markup.  What runs calls HIT; what loads asks elsewhere: the browser of lib/browser.mjs
// tells of both.
const HIT = 'globalThis.hit=1;alert(1)';
const AWAY = 'http://elsewhere.invalid/x';

export const corpus = [
    `<script>${HIT}</script>`,
    `"><script>${HIT}</script>`,
    `</title></style></textarea></script><script>${HIT}</script>`,
    `<img src=x onerror=${HIT}>`,
    `<img src="${AWAY}">`,
    `<svg onload=${HIT}>`,
    `<svg><animate onbegin=${HIT} attributeName=x dur=1s>`,
    `<svg><script href="data:text/javascript,${HIT}"></script></svg>`,
    `<iframe srcdoc="<script>parent.${HIT}</script>"></iframe>`,
    `<iframe src="javascript:${HIT}"></iframe>`,
    `<object data="data:text/html,<script>${HIT}</script>"></object>`,
    `<math><mtext></mtext><mglyph><style><!--</style><img title="--&gt;&lt;img src=x onerror=${HIT}&gt;">`,
    `<a href="javascript:${HIT}">click</a>`,
    `[click](javascript:${HIT})`,
    `[click](JaVaScRiPt&#58;${HIT})`,
    `![x](${AWAY})`,
    `![x](javascript:${HIT})`,
    `<style>@import '${AWAY}';body{background:url(${AWAY})}</style>`,
    `<link rel=stylesheet href=${AWAY}>`,
    `<meta http-equiv=refresh content="0;url=${AWAY}">`,
    `<base href="${AWAY}">`,
    `<form action="${AWAY}"><input name=key autofocus onfocus=${HIT}></form>`,
    `<details open ontoggle=${HIT}>`,
    `<video><source onerror=${HIT}></video>`,
    `<body onload=${HIT}>`,
    `javascript:${HIT}//`,
    `data:text/html,<script>${HIT}</script>`,
    `{{constructor.constructor('${HIT}')()}}`,
    '${' + HIT + '}',
    `'-${HIT}-'`,
    `";${HIT};//`,
    `\\u003cscript\\u003e${HIT}\\u003c/script\\u003e`,
    `&lt;script&gt;${HIT}&lt;/script&gt;`,
    `\u202e<script>${HIT}</script>`,
    `\u0000<script>${HIT}</script>`.replace('\u0000', '\ufffd'),
    `__proto__`,
    `constructor`,
    `toString`,
    `<!--><script>${HIT}</script>`,
    `<noscript><p title="</noscript><img src=x onerror=${HIT}>">`,
    `<template><script>${HIT}</script></template>`,
    `<x onclick=${HIT} style=position:fixed;inset:0>over everything</x>`,
    `<input type=image src=${AWAY} onerror=${HIT}>`,
    'a'.repeat(5000),
    'z̷̢͚͎̗͓̘̲̜͖̄̃͊̑̄͗̎͋̚͝a̷l̷g̷o̷'.repeat(20),
    '\ud83d\ude00'.repeat(50),
];

// What only text of strangers could have put there.
export const planted = `document.querySelectorAll(
    'main script, main iframe, main object, main embed, main img, main base, main meta, main link, main style, main [onerror], main [onload], main [onclick], main [onfocus], main a[href^="javascript"], main form[action*="elsewhere"], main x'
).length + (globalThis.hit ? 1000 : 0)`;
