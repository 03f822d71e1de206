/** The operations alone, without the page: what tests hold against Python's. */
export { matrix } from "./matrix";
