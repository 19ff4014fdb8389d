//! What valgrind's callgrind wrote: instructions of all threads in user space, and how often functions were called.
//!
//! Of its file, <https://valgrind.org/docs/manual/cl-format.html>, only this is read: the names of functions, which stand once in
//! full, `(12) name`, and as `(12)` from then on; the function that a call goes to, `cfn=`, with the count of its calls in the
//! line `calls=` that follows; and the sum at the end, `totals:`.

use std::collections::HashMap;

use anyhow::Context as _;

/// Allocations of Rust code. The `mimalloc` crate calls these three for `Box`, `Vec`, `String` and all else, and C code calls others of
/// mimalloc's; they are counted and not what is above them, as that is inlined in the crate which names the allocator. With another
/// allocator, such as the system's, nothing is inlined there: then the three by which Rust asks for memory.
const OF_RUST: [&[&str]; 2] = [
    &["mi_malloc_aligned", "mi_zalloc_aligned", "mi_realloc_aligned"],
    &["__rust_alloc", "__rust_alloc_zeroed", "__rust_realloc"],
];

/// What SQLite calls when it needs memory.
const OF_SQLITE: [&[&str]; 1] = [&["sqlite3MemMalloc", "sqlite3MemRealloc"]];

/// One run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) instructions: u64,
    /// By the name of the function that is called.
    calls: HashMap<String, u64>,
}

impl Profile {
    pub(super) fn parse(file: &str) -> anyhow::Result<Profile> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut calls: HashMap<&str, u64> = HashMap::new();
        let mut instructions = None;
        let mut called = None;
        for line in file.lines() {
            let Some((key, value)) = line.split_once(['=', ':']) else { continue };
            match key {
                "fn" => _ = named(&mut names, value),
                "cfn" => called = named(&mut names, value),
                "calls" => {
                    let name = called.take().with_context(|| format!("a call of nothing: {line}"))?;
                    let count = value.split_whitespace().next().and_then(|count| count.parse::<u64>().ok());
                    *calls.entry(name).or_default() += count.with_context(|| format!("no count: {line}"))?;
                }
                "totals" => instructions = value.trim().parse().ok(),
                _ => {}
            }
        }
        let calls = calls.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        Ok(Profile { instructions: instructions.context("callgrind wrote no totals")?, calls })
    }

    /// Allocations of Rust code, a reallocation being one. `None` when no function is named that would tell.
    pub(super) fn allocations(&self) -> Option<u64> {
        self.calls_of_first(&OF_RUST)
    }

    /// Allocations of SQLite, counted in the same way.
    pub(super) fn allocations_of_sqlite(&self) -> Option<u64> {
        self.calls_of_first(&OF_SQLITE)
    }

    /// Calls of the first set of functions of which one was called.
    fn calls_of_first(&self, sets: &[&[&str]]) -> Option<u64> {
        sets.iter().find_map(|set| {
            let of_set = self.calls.iter().filter(|(name, _)| set.contains(&plain(name)));
            of_set.map(|(_, count)| *count).reduce(|sum, count| sum + count)
        })
    }
}

/// The name that `(12) name` gives, or that `(12)` was given before. A name may also stand alone.
fn named<'a>(names: &mut HashMap<&'a str, &'a str>, text: &'a str) -> Option<&'a str> {
    let Some((id, rest)) = text.strip_prefix('(').and_then(|text| text.split_once(')')) else {
        return Some(text);
    };
    match rest.trim_start() {
        "" => names.get(id).copied(),
        name => Some(*names.entry(id).insert_entry(name).get()),
    }
}

/// The function without the crate that it is in, and without the mark of a recursive call: `__rustc::__rust_alloc`,
/// or as its symbol, `_RNvCsfLfy6EI15iL_7___rustc12___rust_alloc`, and `name'2`.
fn plain(name: &str) -> &str {
    let name = name.split_once('\'').map_or(name, |(name, _)| name);
    if let Some((_, function)) = name.rsplit_once("::") {
        return function;
    }
    // In a symbol its length stands before each name, with a `_` between where the name begins with one.
    let symbol = name.strip_prefix("_RNvC").and_then(|rest| rest.split_once("7___rustc"));
    symbol.map_or(name, |(_, name)| {
        let name = name.trim_start_matches(|first: char| first.is_ascii_digit());
        name.strip_prefix('_').unwrap_or(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that callgrind 3.19 wrote of a run of `waypost up`, in their order, most left out; the command line is shortened.
    const FILE: &str = "\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 15942
cmd:  waypost up
part: 1


desc: I1 cache: 
desc: D1 cache: 
desc: LL cache: 

desc: Timerange: Basic block 0 - 393333333
desc: Trigger: Program termination

positions: line
events: Ir
summary: 2051478818


ob=(2) ???
fl=(52) ???
fn=(12732) 0x000000000485e8c8
0 3

fn=(12722) 0x0000000004848340
0 1
cob=(3) /usr/lib/x86_64-linux-gnu/libc.so.6
cfi=(309) ./stdlib/./stdlib/cxa_finalize.c
cfn=(12680) __cxa_finalize
calls=1 30 

fn=(1502) <alloc::vec::Vec<T> as alloc::vec::spec_from_iter::SpecFromIter<T,I>>::from_iter
0 40
cfn=(1340) __rustc::__rust_no_alloc_shim_is_unstable_v2
calls=2 0 
0 2
0 8
cfn=(1344) mi_malloc_aligned
calls=2 0 
0 192

cfn=(1342) __rustc::__rust_alloc
calls=1 0 
0 1916
cfn=(1342)
calls=2 0 
0 444

cfn=(3512) sqlite3MemMalloc
calls=192 0 
0 8775

cfn=(1396) __rustc::__rust_realloc
calls=10 0 
0 1152

fn=(1278) _mi_theap_realloc_zero
0 2086476
cfn=(1280) mi_theap_umalloc
calls=37301 0 

fn=(1398) mi_realloc_aligned
0 1252328
cfn=(1278)
calls=44726 0 
0 6513209

fn=(1342)
0 976692
cfn=(1344)
calls=976692 0 
0 68640320

fn=(1396)
0 88470
cfn=(1398)
calls=44235 0 
0 7496400

totals: 2051479029
";

    #[test]
    fn a_name_that_stands_once_is_known_by_its_number_from_then_on() {
        let profile = Profile::parse(FILE).unwrap();
        assert_eq!(profile.instructions, 2_051_479_029);
        assert_eq!(profile.calls["mi_malloc_aligned"], 2 + 976_692);
        assert_eq!(
            profile.calls["mi_realloc_aligned"], 44_235,
            "named where it stands first, which is no call"
        );
        assert_eq!(profile.calls["__rustc::__rust_alloc"], 1 + 2);
    }

    #[test]
    fn an_allocation_is_counted_once_where_mimalloc_takes_it() {
        let profile = Profile::parse(FILE).unwrap();
        assert_eq!(profile.allocations(), Some(2 + 976_692 + 44_235));
        assert_eq!(profile.allocations_of_sqlite(), Some(192));
    }

    #[test]
    fn without_mimalloc_an_allocation_is_what_rust_asks_for() {
        let profile = Profile::parse(&FILE.replace("mi_", "other_")).unwrap();
        assert_eq!(profile.allocations(), Some(1 + 2 + 10));
    }

    #[test]
    fn a_binary_without_names_has_no_count_of_allocations() {
        let unnamed = "fn=(1) 0x0000000000001000\ncfn=(2) 0x0000000000002000\ncalls=3 0 \n0 9\ntotals: 12\n";
        let profile = Profile::parse(unnamed).unwrap();
        assert_eq!((profile.instructions, profile.allocations()), (12, None));
    }

    #[test]
    fn a_file_that_was_not_finished_is_refused() {
        let cut = FILE.replace("totals: 2051479029\n", "");
        assert!(Profile::parse(&cut).is_err());
        assert!(Profile::parse("calls=3 0\ntotals: 12\n").is_err());
    }

    #[test]
    fn a_function_is_known_by_its_name_its_symbol_and_its_recursion() {
        for name in [
            "__rust_alloc",
            "__rustc::__rust_alloc",
            "_RNvCsfLfy6EI15iL_7___rustc12___rust_alloc",
            "__rust_alloc'2",
        ] {
            assert_eq!(plain(name), "__rust_alloc", "{name}");
        }
        assert_eq!(plain("__rustc::__rust_alloc_error_handler"), "__rust_alloc_error_handler");
        assert_eq!(plain("mi_malloc_aligned"), "mi_malloc_aligned");
    }
}
