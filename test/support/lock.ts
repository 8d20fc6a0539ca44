/** The part of package-lock.json that is looked at. */
export interface Lock {
  packages: Record<string, LockedPackage | undefined>;
}

/** One package of the lock. */
export interface LockedPackage {
  readonly version?: string;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly integrity?: string;
  readonly libc?: readonly string[];
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Optional dependencies that the lock does not list; `npm ci` refuses such a lock. */
export function missingOptional(
  lock: Lock,
): { readonly name: string; readonly version: string; readonly sibling: LockedPackage }[] {
  return Object.entries(lock.packages).flatMap(([path, locked]) => {
    if (path === '' || locked?.optionalDependencies === undefined) return [];
    const wanted = Object.entries(locked.optionalDependencies);
    const listed = (name: string) =>
      lock.packages[`${path}/node_modules/${name}`] ?? lock.packages[`node_modules/${name}`];
    const sibling = wanted.map(([name]) => listed(name)).find((one) => one?.os !== undefined) ?? locked;
    return wanted.flatMap(([name, version]) => (listed(name) === undefined ? [{ name, version, sibling }] : []));
  });
}
