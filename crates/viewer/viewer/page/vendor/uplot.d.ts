// As much as the page has to know of uPlot: it is checked where it is used, not itself.
export default class uPlot {
  constructor(options: object, data: Array<Array<number | null>>, target: HTMLElement);
  [member: string]: any;
}
