// The page's files, as the tests read them.

import { readFileSync, readdirSync } from 'node:fs';

export const STATIC = new URL('../../latent_editor/ui/static/', import.meta.url);

export const read = (name) => readFileSync(new URL(name, STATIC), 'utf8');

export const modules = readdirSync(STATIC).filter((name) => name.endsWith('.js')).sort();

/** The modules that a module imports. */
export const importsOf = (name) => (
  [...read(name).matchAll(/^(?:import|export)[^;]*?from '\.\/([^']+)'/gm)].map((match) => match[1]));
