export interface Throttled {
  (): void;
  /** Run now if a call is waiting. */
  flush(): void;
  cancel(): void;
}

/** At most one call of `run` each `interval` ms: the first at once, and always one after the last request. */
export function throttle(run: () => void, interval: number): Throttled {
  let timer: ReturnType<typeof setTimeout> | null = null;
  let waiting = false;
  const tick = () => {
    timer = null;
    if (!waiting) return;
    waiting = false;
    timer = setTimeout(tick, interval);
    run();
  };
  const call = (() => {
    waiting = true;
    if (timer === null) tick();
  }) as Throttled;
  call.flush = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (waiting) {
      waiting = false;
      run();
    }
  };
  call.cancel = () => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    waiting = false;
  };
  return call;
}
