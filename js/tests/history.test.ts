import { describe, expect, it } from "vitest";
import { History } from "../src/lib/history";

const numbers = () => new History<number>(0, (a: number, b: number) => a === b);

describe("History", () => {
  it("goes back and forth over every recorded value", () => {
    const history = numbers();
    history.record(1);
    history.record(2);
    expect(history.undo()).toBe(1);
    expect(history.undo()).toBe(0);
    expect(history.undo()).toBe(0);
    expect(history.canUndo).toBe(false);
    expect(history.redo()).toBe(1);
    expect(history.redo()).toBe(2);
    expect(history.canRedo).toBe(false);
  });

  it("drops what was undone when something new is done", () => {
    const history = numbers();
    history.record(1);
    history.undo();
    history.record(5);
    expect(history.canRedo).toBe(false);
    expect(history.undo()).toBe(0);
  });

  it("takes no step for an equal value, so an echo from the kernel costs nothing", () => {
    const history = numbers();
    history.record(0);
    expect(history.canUndo).toBe(false);
  });

  it("makes one step of a drag", () => {
    const history = numbers();
    history.record(1);
    history.begin();
    for (const value of [2, 3, 4]) history.record(value);
    history.end();
    expect(history.now).toBe(4);
    expect(history.undo()).toBe(1);
    expect(history.redo()).toBe(4);
  });

  it("forgets the oldest steps past its limit", () => {
    const history = new History<number>(0, (a: number, b: number) => a === b, 2);
    for (const value of [1, 2, 3]) history.record(value);
    history.undo();
    expect(history.undo()).toBe(1);
    expect(history.canUndo).toBe(false);
  });
});
