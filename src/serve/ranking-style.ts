/** How the page of rankings looks, light or dark as the reader's system is, on wide and on narrow screens. */
export const RANKING_STYLE = `
:root{color-scheme:light dark;--text:light-dark(#1c2024,#e8eaed);--quiet:light-dark(#5b6470,#a2abb8);--page:light-dark(#f6f7f9,#111418);--card:light-dark(#fff,#1a1e24);--line:light-dark(#d9dde3,#323943);--main:light-dark(#3b5bdb,#8ea7ff);--on-main:light-dark(#fff,#0d1430);--good:light-dark(#1a7f37,#5fd17c);--bad:light-dark(#b3261e,#ff8f86);--soft:light-dark(#eef2ff,#1f2842)}
*{box-sizing:border-box}
body{margin:0;font:16px/1.55 system-ui,sans-serif;color:var(--text);background:var(--page)}
main{max-width:84rem;margin:0 auto;padding:1rem 1.25rem 7rem;outline:none}
.top{display:flex;align-items:center;gap:.75rem;margin-bottom:1rem}
progress{flex:1;height:.5rem;appearance:none;border:0;border-radius:1rem;background:var(--line);overflow:hidden}
progress::-webkit-progress-bar{background:var(--line)}progress::-webkit-progress-value{background:var(--main)}progress::-moz-progress-bar{background:var(--main)}
.count{color:var(--quiet);white-space:nowrap;font-variant-numeric:tabular-nums}
h1{font-size:1.15rem;margin:1.25rem 0 .6rem}
.text{white-space:pre-wrap;overflow-wrap:anywhere}
.role{display:block;font-size:.75rem;color:var(--quiet);letter-spacing:.02em}
.prompt{border-left:4px solid var(--main);padding:.1rem 0 .1rem 1rem;max-width:60rem;max-height:40vh;overflow:auto}
.turn+.turn{margin-top:.6rem}.turn.user .text,.turn.text .text{font-weight:550}.turn.system .text{color:var(--quiet)}
.answers{list-style:none;margin:0;padding:0;display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));align-items:stretch}
.answers.n4{grid-template-columns:repeat(auto-fit,minmax(min(30rem,100%),1fr))}.answers.n1{grid-template-columns:minmax(0,60rem)}
.answers li{display:flex}
article{flex:1;display:flex;flex-direction:column;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.9rem 1rem .7rem;min-width:0}
article>header{display:flex;align-items:center;gap:.5rem;margin-bottom:.5rem;min-height:1.75rem}
article>.text,article>.write{flex:1}article>.text[data-act]{cursor:pointer}
article>footer{display:flex;flex-wrap:wrap;gap:.35rem;margin-top:.8rem;padding-top:.6rem;border-top:1px solid var(--line)}
.number{display:inline-grid;place-items:center;width:1.75rem;height:1.75rem;border:1.5px solid var(--quiet);border-radius:6px;font-weight:650;font-variant-numeric:tabular-nums}
.placed .number{background:var(--main);border-color:var(--main);color:var(--on-main)}
.placed article{border-color:var(--main);box-shadow:0 0 0 1px var(--main)}
.worst .number{background:var(--bad);border-color:var(--bad);color:var(--card)}.worst article{border-color:var(--bad);box-shadow:0 0 0 1px var(--bad)}
.place{font-weight:650;color:var(--main)}.worst .place{color:var(--bad)}
.mark{font-size:.8rem;border:1px solid currentColor;border-radius:1rem;padding:0 .55rem}.good .mark{color:var(--good)}.bad .mark{color:var(--bad)}.mark.edited{color:var(--main)!important}
.mended{margin-top:.7rem;padding:.6rem .75rem;background:var(--soft);border-radius:6px}
button{font:inherit;font-size:.9rem;color:inherit;background:var(--card);border:1px solid var(--line);border-radius:6px;padding:.3rem .7rem;cursor:pointer;white-space:nowrap}
button:hover:not(:disabled){border-color:var(--main)}button:disabled{opacity:.45;cursor:default}
button[aria-pressed=true]{background:var(--soft);border-color:var(--main)}
button.main{background:var(--main);border-color:var(--main);color:var(--on-main);font-weight:600}
main:focus-visible{outline:none}:focus-visible:not(main){outline:3px solid var(--main);outline-offset:2px}
kbd{font:.78em ui-monospace,monospace;border:1px solid currentColor;border-radius:4px;padding:0 .3em;opacity:.75}
.row{display:flex;flex-wrap:wrap;gap:.4rem}
.bar{position:fixed;inset:auto 0 0;display:flex;flex-wrap:wrap;align-items:center;gap:.5rem 1rem;padding:.7rem max(1.25rem,calc((100vw - 81.5rem)/2));background:var(--card);border-top:1px solid var(--line)}
.bar p{flex:1;margin:0;font-weight:600;min-width:0;overflow-wrap:anywhere}
.quiet{color:var(--quiet);font-weight:400}
.write label{display:block;font-size:.85rem;color:var(--quiet);margin-bottom:.2rem}
textarea{width:100%;font:inherit;color:inherit;background:var(--page);border:1px solid var(--line);border-radius:6px;padding:.5rem .6rem;resize:vertical}
.bar .reason{flex:1 0 100%;margin:0;font-weight:400}.write .row{margin-top:.4rem}
.alone{max-width:40rem;margin:12vh auto 0;text-align:center}.alone table{margin:1.5rem auto;text-align:left;border-collapse:collapse}.alone h1{font-size:1.5rem}
caption{color:var(--quiet);font-size:.85rem;text-align:left}td,th{padding:.3rem 1.2rem .3rem 0;border-bottom:1px solid var(--line)}th{font-size:.85rem;color:var(--quiet);font-weight:400}
meter{width:6rem;vertical-align:middle}
.spinner{width:2.2rem;height:2.2rem;margin:0 auto;border:4px solid var(--line);border-top-color:var(--main);border-radius:50%;animation:turn 1s linear infinite}
@keyframes turn{to{transform:rotate(1turn)}}@media(prefers-reduced-motion:reduce){.spinner{animation-duration:6s}}
#lost{position:fixed;inset:0 0 auto;margin:0;padding:.7rem 1.25rem;background:var(--bad);color:var(--card);text-align:center}
dialog{color:inherit;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem 1.5rem 1.25rem;max-width:34rem}dialog::backdrop{background:#0008}
dialog h2{font-size:1.1rem;margin:.2rem 0 .8rem}dl{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1.2rem;margin:0}dd{margin:0}dialog form{text-align:right}
@media(max-width:46rem){main{padding:.75rem .75rem 9.5rem}.bar{flex-flow:column;align-items:stretch;gap:.4rem;padding:.5rem .75rem}.bar .row{justify-content:space-between}.bar kbd,.top kbd{display:none}}
`;
