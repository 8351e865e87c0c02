//! The files of the tree: those that git tracks, and new ones that it does not ignore. Never what a build left behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A text file of the tree. Binary files are in no rule's reach.
pub(crate) struct File {
    /// From the root, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    /// What stands behind the last dot; empty for files without one.
    pub(crate) fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.extension() == "rs"
    }

    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// A tree: this one, or one of a few lines that a test makes.
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads this tree.
    pub(crate) fn read() -> Result<Self, String> {
        let root = root();
        let listed = run(Command::new("git").current_dir(&root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let mut files = Vec::new();
        for path in listed.split('\0').filter(|path| !path.is_empty()) {
            let file = root.join(path);
            // A file that was deleted and not yet committed is listed still; a submodule or a link is no text.
            if !file.is_file() {
                continue;
            }
            let bytes = fs::read(&file).map_err(|error| format!("{path}: {error}"))?;
            if let Ok(text) = String::from_utf8(bytes)
                && !text.contains('\0')
            {
                files.push(File { path: path.to_owned(), text });
            }
        }
        if files.is_empty() { Err("git lists no file: is this a clone?".to_owned()) } else { Ok(Self { files }) }
    }

    /// A tree of these paths and texts.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }

    /// The file with this path, which a rule can't do without.
    pub(crate) fn file(&self, path: &str) -> Result<&File, String> {
        let missing = || format!("{path} is missing, and this rule can't be checked without it");
        self.files.iter().find(|file| file.path == path).ok_or_else(missing)
    }
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a command prints; an error if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name} does not start: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{name} printed what is not UTF-8"))
}

/// Fails with every fault on a line of its own.
#[track_caller]
pub(crate) fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// True if tests were told to write the documents that they compare.
pub(crate) fn updates(value: &str) -> bool {
    std::env::var("UPDATE_DOCS").is_ok_and(|set| set == value)
}
