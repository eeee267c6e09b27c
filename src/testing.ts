/** For authors of ports: the suite that an engine of `Store` has to pass, and samples for tests. Needs `fast-check`. */
export { storeContract } from './testing/store.ts'
export type { OpenedStore, OpenStore } from './testing/store/fixture.ts'
