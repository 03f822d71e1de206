/** What the page computes with, without the page: what tests hold against Python's. */
export * from "./backward";
export * from "./bpe";
export * from "./forward";
export * from "./forward_answer";
export { matrix } from "./matrix";
export * as numbers from "./numbers";
export { isMasked, OPS, opOf, penaltyOf } from "./ops";
export * as terms from "./terms";
export * from "./terms_origin";
export * as words from "./words";
export * as picking from "./picking";
export { asSvg } from "./scene";
export * as thumbnail from "./thumbnail";
export * from "./training";
export * from "./training_examples";
export * from "./training_update";
