// As much as the page has to know of uPlot: it is checked where it is used, not itself.
type Values = Array<number | null>;
type Axis = "x" | "y";

export interface Scale {
  min?: number;
  max?: number;
  time?: boolean;
  distr?: number;
  range?: (plot: uPlot, least: number, most: number) => [number, number];
}

export interface Cursor {
  idx?: number | null;
  left?: number;
  [member: string]: any;
}

export interface Series {
  points?: {
    filter?: (plot: uPlot, series: number, isShown: boolean) => number[] | null;
    [member: string]: any;
  };
  [member: string]: any;
}

export interface Options {
  width: number;
  height: number;
  scales: Record<Axis, Scale>;
  axes: Array<{
    values?: (plot: uPlot, splits: number[], axis: number, space: number, apart: number) => string[];
    splits?: () => number[];
    filter?: (plot: uPlot, splits: number[]) => number[];
    [member: string]: any;
  }>;
  series: Series[];
  hooks: Record<string, Array<(plot: uPlot) => void>>;
  [member: string]: any;
}

export default class uPlot {
  constructor(options: Options, data: Values[], target: HTMLElement);
  cursor: Cursor;
  ctx: CanvasRenderingContext2D;
  over: HTMLElement;
  bbox: { left: number; top: number; width: number; height: number };
  select: { left: number; top: number; width: number; height: number };
  scales: Record<Axis, Scale>;
  destroy(): void;
  setSize(size: { width: number; height: number }): void;
  setCursor(at: { left: number; top: number }, fires?: boolean): void;
  setSelect(box: { left: number; top: number; width: number; height: number }, fires?: boolean): void;
  posToVal(at: number, axis: Axis): number;
  valToPos(value: number, axis: Axis, onCanvas?: boolean): number;
}
