/** A matrix of doubles, row by row, as the server sends it and as operations take it. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array; // [rows * columns]
}

export function matrix(rows: number, columns: number, data = new Float64Array(rows * columns)): Matrix {
  return { rows, columns, data };
}
