import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

/** Reads the tree as a reader of the code sees it. Paths are relative to the root of the repository, with slashes. */

const ROOT = join(import.meta.dirname, "../..");
/** What tools make or bring along. */
const FOREIGN = new Set([".git", "build", "coverage", "node_modules"]);

export function read(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** All files at or below `folders` whose names end with one of `endings`. */
export function filesIn(folders: readonly string[], endings: readonly string[] = [""]): string[] {
  return folders
    .flatMap((folder) => (existsSync(join(ROOT, folder)) ? walk(folder) : []))
    .filter((path) => endings.some((ending) => path.endsWith(ending)));
}

function walk(path: string): string[] {
  if (!statSync(join(ROOT, path)).isDirectory()) return [path];
  return readdirSync(join(ROOT, path))
    .filter((name) => !FOREIGN.has(name))
    .flatMap((name) => walk(path === "." ? name : `${path}/${name}`))
    .sort();
}

/** Something found in a file. */
export interface Sighting {
  readonly name: string;
  /** `PATH:LINE`, what editors open. */
  readonly place: string;
}

/** The lines in which `pattern` matches; `name` is the match. */
export function matches(path: string, pattern: RegExp): Sighting[] {
  return read(path)
    .split("\n")
    .flatMap((line, index) => {
      const match = pattern.exec(line);
      return match === null ? [] : [{ name: match[0], place: `${path}:${String(index + 1)}` }];
    });
}

/** The modules that a TypeScript file imports or exports from, types included, as they are written there. */
export function importsOf(path: string): string[] {
  return ts.preProcessFile(read(path), true, true).importedFiles.map(({ fileName }) => fileName);
}

/**
 * The names that code refers to: of variables, functions, types and decorators, but neither what comes behind a dot, nor what a
 * class or an object calls its members, nor words in comments and strings. AssemblyScript parses well enough for this.
 */
export function namesIn(path: string): Sighting[] {
  const source = ts.createSourceFile(path, read(path), ts.ScriptTarget.Latest, true);
  const sightings: Sighting[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && !isMemberName(node)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart());
      sightings.push({ name: node.text, place: `${path}:${String(line + 1)}` });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return sightings;
}

function isMemberName(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  return (
    (ts.isClassElement(parent) || ts.isObjectLiteralElement(parent) || ts.isTypeElement(parent)) && parent.name === node
  );
}
