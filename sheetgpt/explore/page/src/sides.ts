/** A side of a comparison as a run of its own, whose cells are asked for like any run's. */
import type { Comparison, Run, StageDiff, StageInfo } from "./source";

const NO_STATISTICS = { least: 0, mean: 0, greatest: 0, deviation: 0, bins: [] };

export function sideOf(compare: Comparison, side: "left" | "right"): Run {
  return {
    id: side,
    asked: { prompt: null, ids: null, sets: [], special: false },
    prompt: null,
    ids: [],
    tokens: compare.tokens,
    words: [],
    tables: {},
    places: {},
    notices: [],
    stages: new Map(compare.stages.filter((one) => one.picture).map((one) => [one.stage, infoOf(one)])),
    before: null,
    best: [],
    travel: [],
    done: true,
  };
}

function infoOf({ stage, shape, end, picture }: StageDiff): StageInfo {
  return { name: stage, rows: shape![0], columns: shape![1], end, picture: picture!, statistics: NO_STATISTICS, change: null };
}
