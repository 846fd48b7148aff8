// What a device is called, by what its program calls itself. Pure. Programs pretend to be others, so the order
// of the tries matters; whatever is not known keeps its own first word.

const PROGRAMS = [
  [/\bEdgA?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bSamsungBrowser\//, 'Samsung Internet'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Chrome|Chromium|HeadlessChrome|CriOS)\//, 'Chrome'],
  [/\bVersion\/.*\bSafari\//, 'Safari'],
];

const SYSTEMS = [
  [/\bAndroid\b/, 'Android'],
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bWindows\b/, 'Windows'],
  [/\bMacintosh\b/, 'Mac'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
];

const first = (tries, text) => tries.find(([pattern]) => pattern.test(text))?.[1];

/** `Firefox · Linux`; the program's own word, as `curl`; empty when it says nothing. */
export function deviceName(userAgent) {
  const program = first(PROGRAMS, userAgent) ?? userAgent.split(/[/ ]/)[0];
  return [program, first(SYSTEMS, userAgent)].filter(Boolean).join(' · ');
}
