//! Keys without a character of their own, as WebDriver names them (W3C WebDriver, section 17.4.2).

/// Backspace.
pub const BACKSPACE: char = '\u{E003}';
/// Tab.
pub const TAB: char = '\u{E004}';
/// Enter.
pub const ENTER: char = '\u{E007}';
/// Shift.
pub const SHIFT: char = '\u{E008}';
/// Control.
pub const CONTROL: char = '\u{E009}';
/// Alt.
pub const ALT: char = '\u{E00A}';
/// Escape.
pub const ESCAPE: char = '\u{E00C}';
/// Space.
pub const SPACE: char = ' ';
/// Page up.
pub const PAGE_UP: char = '\u{E00E}';
/// Page down.
pub const PAGE_DOWN: char = '\u{E00F}';
/// End.
pub const END: char = '\u{E010}';
/// Home.
pub const HOME: char = '\u{E011}';
/// Arrow left.
pub const LEFT: char = '\u{E012}';
/// Arrow up.
pub const UP: char = '\u{E013}';
/// Arrow right.
pub const RIGHT: char = '\u{E014}';
/// Arrow down.
pub const DOWN: char = '\u{E015}';
/// Delete.
pub const DELETE: char = '\u{E017}';
