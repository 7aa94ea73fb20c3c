"""Small files in each language, and what must be found in them."""

from __future__ import annotations

SAMPLES: dict[str, str] = {
    "a.py": '''\
"""Module doc."""
import os

LIMIT = 3


@decorator(1)
def free(a: int, b=2) -> str:
    """Say it.

    More.
    """
    def inner():
        pass
    return "x"


class Box(Base):
    """A box."""

    size: int = 1

    def __init__(self):
        self.a = 1

    @property
    def area(self) -> int:
        # comment
        return 1

    class Inner:
        def deep(self): ...

    after = 2


try:
    import x
except ImportError:
    def fallback():
        pass


async def later():
    await x
''',
    "a.js": """\
// Licence

import x from "y";

/** Adds two. */
export function add(a, b) {
  return a + b;
}

export const arrow = async (x) => {
  return x;
};

/**
 * A thing.
 */
export default class Thing extends Base {
  field = 1;
  constructor() { super(); }
  // runs
  run(a) { return a; }
  handler = () => {
    return 1;
  };
}

module.exports.util = function (q) {
  return q;
};
Foo.prototype.bar = function () { return 1; };
function* gen() { yield 1; }
""",
    "a.ts": """\
export interface Shape { area(): number }
type Alias = string | number;
export enum Color { Red, Green }
namespace NS {
  export function inside(): void {}
}
abstract class Base<T> {
  private readonly x: number = 1;
  abstract foo(): void;
  public get size(): number { return 1; }
  static make = (): Base => null;
}
declare function ext(a: number): string;
""",
    "a.tsx": """\
export const Button: React.FC<Props> = ({ label }) => {
  return <button>{label}</button>;
};
export default function App() { return <Button label="x" />; }
""",
    "a.go": """\
package main

import "fmt"

// Server serves.
// It has two lines.
type Server struct {
	addr string
}

type (
	Handler interface { Handle() }
	ID int
)

// Start starts it.
func (s *Server) Start(port int) error {
	return nil
}

func Map[T any](xs []T) []T { return xs }

const Max = 3
""",
    "a.rs": """\
//! crate doc
use std::fmt;

/// A point.
#[derive(Debug)]
pub struct Point { x: i32 }

impl fmt::Display for Point {
    /// Shows it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        Ok(())
    }
}

impl<T> Stack<T> {
    const N: usize = 1;
    pub fn push(&mut self, t: T) {}
}

pub trait Shape { fn area(&self) -> f64; fn name(&self) -> String { String::new() } }
enum Kind { A, B(i32) }
type Id = u64;
macro_rules! hey { () => {} }
mod inner {
    pub fn deep() {}
}
pub async fn run() {}
""",
    "a.java": """\
package p;

import java.util.List;

/** A bank. */
public class Bank<T> implements Foo {
    private int total = 0;

    /** Makes it. */
    public Bank(int t) { this.total = t; }

    @Override
    public List<T> accounts(String name) throws X {
        return null;
    }

    static class Inner { void go() {} }
    enum State { ON, OFF; int code() { return 1; } }
}

interface Closer { void close(); }
record Pair(int a, int b) { int sum() { return a + b; } }
@interface Note {}
""",
    "a.c": """\
#include <stdio.h>
#define MAX 3

/* A node. */
struct node {
    int v;
    struct node *next;
};

typedef struct { int a; } pair_t;
enum color { RED };
typedef int (*callback)(int);

#ifdef X
// Adds.
static int *add(int a, struct node *b)
{
    return 0;
}
#endif

int main(void) { return 0; }
""",
    "a.cpp": """\
#include <vector>
namespace geo {
/// A vector.
class Vec : public Base {
 public:
  Vec(int x) : x_(x) {}
  int length() const { return x_; }
  ~Vec();
 private:
  int x_;
};
template <typename T>
T maxof(T a, T b) { return a > b ? a : b; }
struct Plain { int a; };
enum class Mode { A, B };
}  // namespace geo

int geo::Vec::other(int q) {
  return q;
}
using Alias = int;
std::vector<int>& operator+(const A& a, const B& b) { return x; }
""",
    "a.md": """\
intro

# Title
text
## Install
```sh
# not a heading
```
### Linux ##
apt
## Use
go
""",
    "bad.py": """\
def ok():
    return 1

class Broken(:
    def method(self):
        x = (

def after(a):
    return a
""",
    "bad.js": """\
function ok() { return 1 }
class { { (
function after(a) { return a }
""",
    "a.rb": """\
# frozen_string_literal: true

require "json"

module Garden
  # A bed of plants.
  class Bed < Base
    attr_reader :size

    def initialize(size)
      @size = size
    end

    # Waters it.
    def water!(litres = 1)
      @wet = true
    end

    def self.load(path)
      new(JSON.parse(File.read(path)))
    end

    class << self
      def empty
        new(0)
      end
    end
  end
end

def helper(x) = x + 1
""",
    "A.cs": """\
using System;

namespace Garden.Beds
{
    /// <summary>A bed.</summary>
    [Serializable]
    public class Bed : Base, IBed
    {
        private int size;

        public Bed(int size) { this.size = size; }

        public int Size { get; set; }

        /// <summary>Waters it.</summary>
        public async Task<bool> Water(int litres)
        {
            return await Pour(litres);
        }

        private enum State { Dry, Wet }
    }

    public interface IBed { bool Water(int litres); }
    public record Seed(string Name);
    public struct Point { public int X; }
    public delegate void Watered(Bed bed);
}
""",
    "a.php": """\
<?php

namespace Garden\\Beds;

use Garden\\Base;

/**
 * A bed.
 */
#[Entity]
final class Bed extends Base implements Waterable
{
    private int $size = 1;

    public function __construct(int $size)
    {
        $this->size = $size;
    }

    /** Waters it. */
    public static function water(int $litres): bool
    {
        return true;
    }
}

interface Waterable { public function dry(): void; }
trait Grows { public function grow() { return 1; } }
enum State: string { case Wet = 'w'; }

function helper($x)
{
    return $x;
}
""",
    "A.kt": """\
package garden.beds

import java.io.File

/** A bed. */
@Serializable
data class Bed(val size: Int) : Base() {
    private var wet = false

    /** Waters it. */
    override fun water(litres: Int): Boolean {
        wet = true
        return wet
    }

    companion object {
        fun load(path: String): Bed = Bed(File(path).readText().toInt())
    }
}

interface Waterable {
    fun dry()
}

object Garden {
    fun open() = 1
}

enum class State { WET, DRY }

fun helper(x: Int) = x + 1

fun String.shout(): String = uppercase()

typealias Beds = List<Bed>
""",
    "a.swift": """\
import Foundation

/// A bed.
@objc
public final class Bed: Base, Waterable {
    var size: Int = 1

    init(size: Int) {
        self.size = size
    }

    /// Waters it.
    func water(litres: Int) -> Bool {
        return true
    }

    deinit { close() }
}

protocol Waterable {
    func dry()
}

struct Point { var x: Int }

enum State {
    case wet, dry
    func flip() -> State { .dry }
}

extension Bed {
    func extra() -> Int { 1 }
}

actor Tap {
    func open() {}
}

func helper(_ x: Int) -> Int {
    x + 1
}
""",
    "A.scala": """\
package garden.beds

import scala.io.Source

/** A bed. */
case class Bed(size: Int) extends Base {
  private var wet = false

  /** Waters it. */
  override def water(litres: Int): Boolean = {
    wet = true
    wet
  }
}

object Bed {
  def load(path: String): Bed = Bed(1)
}

trait Waterable {
  def dry(): Unit
}

enum State:
  case Wet, Dry

def helper(x: Int): Int =
  x + 1
""",
    "a.lua": """\
local Bed = {}
Bed.__index = Bed

-- Makes one.
function Bed.new(size)
  return setmetatable({ size = size }, Bed)
end

-- Waters it.
function Bed:water(litres)
  return litres
end

local function helper(x)
  return x + 1
end

local arrow = function(x) return x end

Bed.dry = function(self)
  return false
end

return Bed
""",
    "a.sh": """\
#!/usr/bin/env bash
set -euo pipefail

SIZE=3

# Waters it.
water() {
  local litres=$1
  echo "$litres"
}

function dry {
  echo dry
}

if true; then
  nested() { echo x; }
fi

water 3
""",
    "a.sql": """\
-- The beds.
CREATE TABLE IF NOT EXISTS garden.beds (
  id INTEGER PRIMARY KEY,
  size INTEGER NOT NULL
);

CREATE INDEX beds_by_size ON beds (size);

CREATE VIEW wet_beds AS
SELECT * FROM beds WHERE wet;

CREATE FUNCTION water(bed INTEGER) RETURNS INTEGER AS $$
  SELECT 1;
$$ LANGUAGE sql;

SELECT count(*) FROM beds;
""",
    "a.tf": """\
terraform {
  required_version = ">= 1.0"
}

# The bed.
resource "aws_instance" "bed" {
  ami = "x"
  tags = {
    Name = "bed"
  }
}

variable "size" {
  type = number
}

module "garden" {
  source = "./garden"
}
""",
    "a.css": """\
:root {
  --green: #0f0;
}

/* A bed. */
.bed > .plant:hover,
#main {
  color: var(--green);
}

@media (max-width: 600px) {
  .bed { display: none; }
}

@keyframes grow {
  from { height: 0; }
  to { height: 1px; }
}
""",
}

EXPECTED: dict[str, list[tuple[str, str, int, int]]] = {
    "a.py": [
        ("module", "", 1, 4),
        ("function", "free", 7, 15),
        ("class", "Box", 18, 21),
        ("method", "Box.__init__", 23, 24),
        ("method", "Box.area", 26, 29),
        ("class", "Box.Inner", 31, 31),
        ("method", "Box.Inner.deep", 32, 32),
        ("class", "Box", 34, 34),
        ("function", "fallback", 40, 41),
        ("function", "later", 44, 45),
    ],
    "a.js": [
        ("function", "add", 5, 8),
        ("function", "arrow", 10, 12),
        ("class", "Thing", 14, 18),
        ("method", "Thing.constructor", 19, 19),
        ("method", "Thing.run", 20, 21),
        ("method", "Thing.handler", 22, 24),
        ("function", "util", 27, 29),
        ("function", "Foo.bar", 30, 30),
        ("function", "gen", 31, 31),
    ],
    "a.ts": [
        ("interface", "Shape", 1, 1),
        ("type", "Alias", 2, 2),
        ("enum", "Color", 3, 3),
        ("function", "NS.inside", 5, 5),
        ("class", "Base", 7, 9),
        ("method", "Base.size", 10, 10),
        ("method", "Base.make", 11, 11),
        ("function", "ext", 13, 13),
    ],
    "a.tsx": [
        ("function", "Button", 1, 3),
        ("function", "App", 4, 4),
    ],
    "a.go": [
        ("struct", "Server", 5, 9),
        ("interface", "Handler", 12, 12),
        ("type", "ID", 13, 13),
        ("method", "Server.Start", 16, 19),
        ("function", "Map", 21, 21),
        ("module", "", 23, 23),
    ],
    "a.rs": [
        ("struct", "Point", 4, 6),
        ("impl", "Point", 8, 8),
        ("method", "Point.fmt", 9, 12),
        ("impl", "Stack", 15, 16),
        ("method", "Stack.push", 17, 17),
        ("trait", "Shape", 20, 20),
        ("enum", "Kind", 21, 21),
        ("type", "Id", 22, 22),
        ("macro", "hey", 23, 23),
        ("function", "inner.deep", 25, 25),
        ("function", "run", 27, 27),
    ],
    "a.java": [
        ("class", "Bank", 5, 7),
        ("method", "Bank.Bank", 9, 10),
        ("method", "Bank.accounts", 12, 15),
        ("class", "Bank.Inner", 17, 17),
        ("enum", "Bank.State", 18, 18),
        ("interface", "Closer", 21, 21),
        ("class", "Pair", 22, 22),
        ("interface", "Note", 23, 23),
    ],
    "a.c": [
        ("struct", "node", 4, 8),
        ("struct", "pair_t", 10, 10),
        ("enum", "color", 11, 11),
        ("type", "callback", 12, 12),
        ("function", "add", 15, 19),
        ("function", "main", 22, 22),
    ],
    "a.cpp": [
        ("class", "geo.Vec", 3, 5),
        ("method", "geo.Vec.Vec", 6, 6),
        ("method", "geo.Vec.length", 7, 7),
        ("function", "geo.maxof", 12, 13),
        ("struct", "geo.Plain", 14, 14),
        ("enum", "geo.Mode", 15, 15),
        ("method", "geo.Vec.other", 18, 20),
        ("type", "Alias", 21, 21),
        ("function", "operator+", 22, 22),
    ],
    "a.rb": [
        ("module", "Garden", 5, 5),
        ("class", "Garden.Bed", 6, 8),
        ("method", "Garden.Bed.water!", 14, 17),
        ("method", "Garden.Bed.load", 19, 21),
        ("method", "Garden.Bed.empty", 24, 26),
        ("function", "helper", 31, 31),
    ],
    "A.cs": [
        ("class", "Garden.Beds.Bed", 5, 9),
        ("method", "Garden.Beds.Bed.Bed", 11, 11),
        ("method", "Garden.Beds.Bed.Water", 15, 19),
        ("enum", "Garden.Beds.Bed.State", 21, 21),
        ("interface", "Garden.Beds.IBed", 24, 24),
        ("class", "Garden.Beds.Seed", 25, 25),
        ("struct", "Garden.Beds.Point", 26, 26),
        ("type", "Garden.Beds.Watered", 27, 27),
    ],
    "a.php": [
        ("class", "Bed", 7, 13),
        ("method", "Bed.__construct", 15, 18),
        ("method", "Bed.water", 20, 24),
        ("interface", "Waterable", 27, 27),
        ("trait", "Grows", 28, 28),
        ("enum", "State", 29, 29),
        ("function", "helper", 31, 34),
    ],
    "A.kt": [
        ("class", "Bed", 5, 8),
        ("method", "Bed.water", 10, 14),
        ("method", "Bed.load", 17, 17),
        ("interface", "Waterable", 21, 21),
        ("class", "Garden", 25, 25),
        ("enum", "State", 29, 29),
        ("function", "shout", 33, 33),
        ("type", "Beds", 35, 35),
    ],
    "a.swift": [
        ("class", "Bed", 3, 6),
        ("method", "Bed.init", 8, 10),
        ("method", "Bed.water", 12, 15),
        ("method", "Bed.deinit", 17, 17),
        ("interface", "Waterable", 20, 20),
        ("struct", "Point", 24, 24),
        ("enum", "State", 26, 27),
        ("extension", "Bed", 31, 31),
        ("method", "Tap.open", 36, 36),
        ("function", "helper", 39, 41),
    ],
    "A.scala": [
        ("class", "Bed", 5, 7),
        ("method", "Bed.water", 9, 13),
        ("method", "Bed.load", 17, 17),
        ("trait", "Waterable", 20, 20),
        ("enum", "State", 24, 25),
        ("function", "helper", 27, 28),
    ],
    "a.lua": [
        ("function", "Bed.new", 4, 7),
        ("function", "Bed.water", 9, 12),
        ("function", "helper", 14, 16),
        ("function", "arrow", 18, 18),
        ("function", "Bed.dry", 20, 22),
    ],
    "a.sh": [
        ("function", "water", 6, 10),
        ("function", "dry", 12, 14),
        ("function", "nested", 17, 17),
        ("module", "", 1, 4),
    ],
    "a.sql": [
        ("table", "garden.beds", 1, 5),
        ("view", "wet_beds", 9, 10),
        ("function", "water", 12, 14),
    ],
    "a.tf": [
        ("block", "resource.aws_instance.bed", 5, 11),
        ("block", "variable.size", 13, 15),
    ],
    "a.css": [
        ("rule", ":root", 1, 3),
        ("rule", ".bed > .plant:hover, #main", 5, 9),
        ("rule", ".bed", 12, 12),
        ("rule", "grow", 15, 18),
    ],
    "a.md": [
        ("section", "Title", 3, 4),
        ("section", "Title > Install", 5, 8),
        ("section", "Title > Install > Linux", 9, 10),
        ("section", "Title > Use", 11, 12),
    ],
    "bad.py": [
        ("function", "ok", 1, 2),
        ("method", "Broken.method", 5, 6),
        ("function", "after", 8, 9),
    ],
    "bad.js": [
        ("function", "ok", 1, 1),
        ("function", "after", 3, 3),
    ],
}
"""Kind, symbol, first and last line of some chunks of each sample."""
