/** What AssemblyScript's runtime `minimal` has and its declarations for `tsc` leave out. asc does not read this file. */
declare function __collect(): void;
