import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { throttle } from "../src/lib/throttle";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("throttle", () => {
  it("runs at once, then at most once an interval, and always after the last request", () => {
    let latest = 0;
    const sent: number[] = [];
    const send = throttle(() => sent.push(latest), 60);
    for (latest = 1; latest <= 50; latest++) {
      send();
      vi.advanceTimersByTime(10);
    }
    latest = 51;
    send();
    vi.advanceTimersByTime(1000);
    expect(sent[0]).toBe(1);
    expect(sent.at(-1)).toBe(51);
    expect(sent.length).toBeLessThanOrEqual(11);
  });

  it("flushes what waits and nothing else", () => {
    const run = vi.fn();
    const send = throttle(run, 60);
    send();
    send.flush();
    expect(run).toHaveBeenCalledTimes(1);
    send();
    send();
    send.flush();
    expect(run).toHaveBeenCalledTimes(3);
    vi.advanceTimersByTime(500);
    expect(run).toHaveBeenCalledTimes(3);
  });

  it("sends nothing after cancel", () => {
    const run = vi.fn();
    const send = throttle(run, 60);
    send();
    send();
    send.cancel();
    vi.advanceTimersByTime(500);
    expect(run).toHaveBeenCalledTimes(1);
  });
});
