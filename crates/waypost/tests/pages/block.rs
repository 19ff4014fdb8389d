//! Fenced blocks of a page.

/// A block between fences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where it begins.
    pub(crate) line: usize,
    pub(crate) language: String,
    pub(crate) is_tested: bool,
    /// Words that it says when it runs, and how often.
    pub(crate) until: Option<(String, usize)>,
    /// Words of its output.
    pub(crate) shows: Option<String>,
    /// It ends what runs before it begins.
    pub(crate) is_alone: bool,
    pub(crate) text: String,
}

impl Block {
    /// Its text without comments, which a translation has in its own language.
    pub(crate) fn commands(&self) -> String {
        let lines = self.text.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim_end());
        lines.filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
    }
}

/// Every block of a page, in order.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(info), None) => open = Some(block(number + 1, info)),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert_eq!(open, None, "a block has no end");
    found
}

fn block(line: usize, info: &str) -> Block {
    let words = words(info);
    let value = |name: &str| {
        words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    let has = |name: &str| words.iter().any(|word| word == name);
    let times = value("times").map_or(1, |times| times.parse().unwrap());
    Block {
        line,
        language: words.first().cloned().unwrap_or_default(),
        is_tested: has("tested"),
        until: value("until").map(|words| (words, times)),
        shows: value("shows"),
        is_alone: has("alone"),
        text: String::new(),
    }
}

/// Words between spaces; a value in quotes is one word.
fn words(info: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in info.chars() {
        match (letter, words.last_mut()) {
            ('"', _) => is_quoted = !is_quoted,
            (' ', _) if !is_quoted => words.push(String::new()),
            (letter, Some(word)) => word.push(letter),
            (_, None) => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn a_block_says_how_it_is_tested() {
    let page = "a\n```sh tested alone until=\"is up\" times=3\nrun # it\n```\n```\nx\n```\n```sh tested shows=completed\n# say\ncurl\n```\n";
    let blocks = blocks(page);
    assert_eq!(blocks.len(), 3);
    assert_eq!((blocks[0].line, blocks[0].language.as_str(), blocks[0].is_alone), (2, "sh", true));
    assert_eq!(blocks[0].until, Some(("is up".to_owned(), 3)));
    assert_eq!((blocks[0].text.as_str(), blocks[0].commands().as_str()), ("run # it\n", "run"));
    assert!(!blocks[1].is_tested);
    assert_eq!((blocks[2].shows.as_deref(), blocks[2].commands().as_str()), (Some("completed"), "curl"));
}
