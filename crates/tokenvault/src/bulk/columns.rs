//! Which columns are replaced.

use vault_domain::DataClass;

use crate::{bulk::json::Pointer, exit::Failure};

/// Columns that one job may replace: the values of a row go in one call.
const COLUMNS_MAX: usize = 100;
/// Names that are listed when one was not found.
const NAMES_SHOWN_MAX: usize = 50;
/// The longest text that is taken for a column's name when names are listed.
const NAME_SHOWN_BYTES_MAX: usize = 64;
/// Digits in a row that a text may have that is taken for a name.
const NAME_DIGITS_MAX: usize = 3;

/// A column by name, and the class of what stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ColumnRule {
    pub(crate) name: String,
    pub(crate) class: DataClass,
}

impl ColumnRule {
    /// Reads `name=class`; the name may hold an equals sign, the class can't.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, class) = text.rsplit_once('=').ok_or("must be NAME=CLASS")?;
        if name.is_empty() {
            return Err("must name a column before the equals sign".to_owned());
        }
        let class = DataClass::parse(class).map_err(|error| error.to_string())?;
        Ok(Self { name: name.to_owned(), class })
    }
}

/// Refuses more columns than a job may have.
pub(crate) fn check_count(rules: &[ColumnRule]) -> Result<(), Failure> {
    if rules.len() > COLUMNS_MAX {
        return Err(Failure::usage(format!("--column can be given at most {COLUMNS_MAX} times")));
    }
    Ok(())
}

/// The columns of a CSV file, found by their names: pairs of a cell's index and the rule's, by the order of the cells.
pub(crate) fn locate(rules: &[ColumnRule], header: &[Vec<u8>], delimiter: u8) -> Result<Vec<(usize, usize)>, Failure> {
    let mut located = Vec::with_capacity(rules.len());
    for (rule_index, rule) in rules.iter().enumerate() {
        let mut found = header.iter().enumerate().filter(|(_, name)| name.as_slice() == rule.name.as_bytes());
        match (found.next(), found.next()) {
            (Some((index, _)), None) => located.push((index, rule_index)),
            (Some(_), Some(_)) => {
                return Err(Failure::usage(format!(
                    "the file has two columns named {}; which one is meant can't be known: rename one",
                    rule.name
                )));
            }
            (None, _) => return Err(missing(&rule.name, header, delimiter)),
        }
    }
    located.sort_unstable();
    for (one, next) in located.iter().zip(located.iter().skip(1)) {
        if one.0 == next.0 {
            let name = rules.get(one.1).map(|rule| rule.name.as_str()).unwrap_or_default();
            return Err(Failure::usage(format!("--column {name} is given twice")));
        }
    }
    Ok(located)
}

/// The pointers of the columns of JSON Lines, in the order of the rules.
pub(crate) fn pointers(rules: &[ColumnRule]) -> Result<Vec<Pointer>, Failure> {
    let mut pointers: Vec<Pointer> = Vec::with_capacity(rules.len());
    for rule in rules {
        let refuse = |problem| Failure::usage(format!("--column {} {problem}", rule.name));
        let pointer = Pointer::parse(&rule.name).map_err(refuse)?;
        if pointers.contains(&pointer) {
            return Err(Failure::usage(format!("--column {} is given twice", rule.name)));
        }
        pointers.push(pointer);
    }
    Ok(pointers)
}

/// Says what to do about a column that is not there.
fn missing(name: &str, header: &[Vec<u8>], delimiter: u8) -> Failure {
    if let Some(failure) = header.first().and_then(|first| wrong_delimiter(first, header.len(), delimiter)) {
        return failure;
    }
    let texts: Option<Vec<&str>> = header.iter().map(|name| std::str::from_utf8(name).ok()).collect();
    let Some(names) = texts.filter(|names| names.iter().all(|name| may_be_name(name))) else {
        // In a file without a row of names they would be values.
        return Failure::usage(format!(
            "the file's first row has no column named {name}, and does not look like a row of names; it is not shown, \
             for it may hold values"
        ));
    };
    let shown = names.iter().take(NAMES_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMES_SHOWN_MAX);
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    Failure::usage(format!("the file has no column named {name}; its columns are: {shown}{more}"))
}

/// Says which delimiter to give, if a first row is one column by the given one and holds another.
pub(crate) fn wrong_delimiter(first: &[u8], width: usize, given: u8) -> Option<Failure> {
    let (found, name) = other_delimiter(first, given).filter(|_| width == 1)?;
    let count = first.iter().filter(|byte| **byte == found).count();
    Some(Failure::usage(format!(
        "the file's first row is one column by the delimiter '{}', and holds {count} × {name}: give --delimiter '{}'",
        spoken(given),
        spoken(found)
    )))
}

/// Of the delimiters in use, another one than was given that stands most often in a first row.
fn other_delimiter(row: &[u8], given: u8) -> Option<(u8, &'static str)> {
    let known = [(b',', "a comma"), (b';', "a semicolon"), (b'\t', "a tab"), (b'|', "a pipe")];
    let count = |delimiter: u8| row.iter().filter(|byte| **byte == delimiter).count();
    let others = known.into_iter().filter(|(other, _)| *other != given && count(*other) > 0);
    others.max_by_key(|(other, _)| count(*other))
}

fn spoken(delimiter: u8) -> String {
    if delimiter == b'\t' { "\\t".to_owned() } else { char::from(delimiter).to_string() }
}

/// Whether a text in the first row can be no card number, no address and no date: only such texts are ever shown.
fn may_be_name(text: &str) -> bool {
    let known = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | '/' | '(' | ')' | ':' | '#');
    let digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or_default();
    text.len() <= NAME_SHOWN_BYTES_MAX
        && text.chars().all(known)
        && digits <= NAME_DIGITS_MAX
        && text.chars().next().is_none_or(|first| first.is_alphabetic() || first == '_' || first == '#')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(rules: &[&str], header: &[&str], delimiter: u8) -> String {
        let rules: Vec<_> = rules.iter().map(|rule| ColumnRule::parse(rule).unwrap()).collect();
        let header: Vec<_> = header.iter().map(|name| name.as_bytes().to_vec()).collect();
        locate(&rules, &header, delimiter).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_rule_is_a_name_and_a_class() {
        assert!(ColumnRule::parse("card=card_number").is_ok());
        assert_eq!(ColumnRule::parse("a=b=email").unwrap().name, "a=b");
        for bad in ["card", "=email", "card=", "card=E Mail"] {
            assert!(ColumnRule::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn columns_are_found_in_the_order_of_the_file() {
        let rules: Vec<_> = ["c=email", "a=email"].iter().map(|rule| ColumnRule::parse(rule).unwrap()).collect();
        let header = ["a", "b", "c"].map(|name| name.as_bytes().to_vec());
        assert_eq!(locate(&rules, &header, b',').unwrap(), [(0, 1), (2, 0)]);
    }

    #[test]
    fn a_missing_column_lists_those_that_are_there() {
        let said = refused(&["d=email"], &["a", "Straße 2", ""], b',');
        assert!(said.ends_with("its columns are: a, Straße 2, "), "{said}");
        let many: Vec<_> = (0..60).map(|_| "a").collect();
        assert!(refused(&["d=email"], &many, b',').ends_with(", and 10 more"));
    }

    #[test]
    fn a_first_row_that_may_hold_values_is_not_shown() {
        for row in [
            ["Ada", "4111111111111111", "ada@example.com"],
            ["Ada", "2026-11-22", "x"],
            ["Ada", "+49 30 1234", "x"],
            ["Ada", "1", "x"],
        ] {
            let said = refused(&["card=card_number"], &row, b',');
            assert!(row.iter().take(2).all(|cell| !said.contains(cell)) && said.contains("not shown"), "{said}");
        }
    }

    #[test]
    fn another_delimiter_is_named() {
        let rows = [("a;b;c,d", b',', "--delimiter ';'"), ("a\tb", b',', "--delimiter '\\t'"), ("a|b", b',', "'|'")];
        for (row, given, said) in rows {
            assert!(refused(&["a=email"], &[row], given).contains(said), "{row}");
        }
        assert!(refused(&["a=email"], &["a,b"], b';').contains("--delimiter ','"));
        assert!(!refused(&["a=email"], &["b"], b',').contains("--delimiter"));
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        assert!(refused(&["a=email"], &["a", "a"], b',').contains("two columns named a"));
        assert!(refused(&["a=email", "a=text"], &["a"], b',').contains("twice"));
        let rules = |rules: &[&str]| rules.iter().map(|rule| ColumnRule::parse(rule).unwrap()).collect::<Vec<_>>();
        assert!(pointers(&rules(&["pan=email", "/pan=text"])).unwrap_err().message().contains("twice"));
        assert!(pointers(&rules(&["/a~2=email"])).unwrap_err().message().contains("JSON Pointer"));
        assert!(pointers(&rules(&["a~2=email", "/a/b=email"])).is_ok());
        assert!(check_count(&vec![ColumnRule::parse("a=email").unwrap(); 101]).is_err());
    }
}
