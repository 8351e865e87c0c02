//! The contract in proto/ only grows: what contract.txt beside this file holds may not change, for callers rely on it.
//!
//! `make docs` adds new lines. A line that is gone or changed breaks callers: only `make docs UPDATE_DOCS=breaking`
//! accepts that, and is right only for what no release ever held.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet, ServiceDescriptorProto,
    field_descriptor_proto::Label,
};

use crate::tree::Tree;

const GOLDEN: &str = "tests/tidy/contract.txt";
const PACKAGES: &str = "tokenvault.";

/// What the build made of proto/.
pub(crate) fn descriptors() -> Result<FileDescriptorSet, String> {
    FileDescriptorSet::decode(vault_proto::DESCRIPTORS).map_err(|error| format!("descriptors: {error}"))
}

/// The contract as lines that mean something each by itself, sorted.
fn lines(files: &FileDescriptorSet) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for file in files.file.iter().filter(|file| file.package().starts_with(PACKAGES)) {
        let package = file.package();
        file.message_type.iter().for_each(|message| message_lines(package, message, &mut out));
        file.enum_type.iter().for_each(|found| enum_lines(package, found, &mut out));
        file.service.iter().for_each(|service| service_lines(package, service, &mut out));
    }
    out
}

fn message_lines(outer: &str, message: &DescriptorProto, out: &mut BTreeSet<String>) {
    let path = format!("{outer}.{}", message.name());
    out.insert(format!("message {path}"));
    for field in &message.field {
        let one_of = field
            .oneof_index
            .filter(|_| !field.proto3_optional())
            .and_then(|index| message.oneof_decl.get(usize::try_from(index).ok()?))
            .map_or(String::new(), |one_of| format!(" oneof {}", one_of.name()));
        out.insert(format!("field {path}.{} = {} {}{one_of}", field.name(), field.number(), field_type(field)));
    }
    for range in &message.reserved_range {
        out.insert(format!("reserved {path} {}..{}", range.start(), range.end()));
    }
    message.nested_type.iter().for_each(|nested| message_lines(&path, nested, out));
    message.enum_type.iter().for_each(|nested| enum_lines(&path, nested, out));
}

fn field_type(field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        Label::Required => "required ",
        Label::Optional if field.proto3_optional() => "optional ",
        Label::Optional => "",
    };
    let scalar = field.r#type().as_str_name().trim_start_matches("TYPE_").to_lowercase();
    if field.type_name().is_empty() { format!("{label}{scalar}") } else { format!("{label}{}", field.type_name()) }
}

fn enum_lines(outer: &str, found: &EnumDescriptorProto, out: &mut BTreeSet<String>) {
    let path = format!("{outer}.{}", found.name());
    for value in &found.value {
        out.insert(format!("value {path}.{} = {}", value.name(), value.number()));
    }
    for range in &found.reserved_range {
        out.insert(format!("reserved {path} {}..={}", range.start(), range.end()));
    }
}

fn service_lines(package: &str, service: &ServiceDescriptorProto, out: &mut BTreeSet<String>) {
    for method in &service.method {
        let stream = |streams: bool| if streams { "stream " } else { "" };
        out.insert(format!(
            "rpc {package}.{}.{} {}{} -> {}{}",
            service.name(),
            method.name(),
            stream(method.client_streaming()),
            method.input_type(),
            stream(method.server_streaming()),
            method.output_type(),
        ));
    }
}

/// What callers rely on and would miss.
fn broken(golden: &str, now: &BTreeSet<String>) -> Vec<String> {
    let gone = golden.lines().filter(|line| !now.contains(*line));
    gone.map(|line| format!("{GOLDEN}: this breaks callers: `{line}` is gone or changed")).collect()
}

/// What is new and not yet written down.
fn unwritten(golden: &str, now: &BTreeSet<String>) -> Vec<String> {
    let written: BTreeSet<&str> = golden.lines().collect();
    let new = now.iter().filter(|line| !written.contains(line.as_str()));
    new.map(|line| format!("{GOLDEN}: `{line}` is new; run `make docs`")).collect()
}

/// Every file below proto/tokenvault/ is compiled: the build script names them one by one.
fn compiled(tree: &Tree, files: &FileDescriptorSet) -> Vec<String> {
    let below = tree.files.iter().filter_map(|file| file.path.strip_prefix("proto/"));
    let left_out = below.filter(|path| path.starts_with("tokenvault/") && path.ends_with(".proto"));
    let left_out = left_out.filter(|path| !files.file.iter().any(|file| file.name() == *path));
    left_out.map(|path| format!("proto/{path} is not compiled by vault-proto's build script")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{assert_none, root, updates};

    #[test]
    fn the_contract_only_grows() {
        let now = lines(&descriptors().unwrap());
        let golden = |tree: Tree| tree.file(GOLDEN).map(|file| file.text.clone());
        let before = golden(Tree::read().unwrap()).unwrap_or_default();
        if updates("breaking") || (updates("1") && broken(&before, &now).is_empty()) {
            let text: String = now.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(root().join(GOLDEN), text).unwrap();
        }
        let written = golden(Tree::read().unwrap()).unwrap();
        assert_none(&broken(&written, &now));
        assert_none(&unwritten(&written, &now));
    }

    #[test]
    fn every_proto_file_is_compiled() {
        let files = descriptors().unwrap();
        assert_none(&compiled(&Tree::read().unwrap(), &files));
        assert_eq!(compiled(&Tree::of(&[("proto/tokenvault/v1/forgotten.proto", "")]), &files).len(), 1);
    }

    #[test]
    fn a_field_that_moves_breaks_callers_and_a_new_one_must_be_written() {
        let mut files = descriptors().unwrap();
        let before: String = lines(&files).iter().map(|line| format!("{line}\n")).collect();
        let messages = files.file.iter_mut().filter(|file| file.package().starts_with(PACKAGES));
        let field = messages.flat_map(|file| &mut file.message_type).flat_map(|message| &mut message.field).next();
        field.unwrap().number = Some(4711);
        let after = lines(&files);
        assert_eq!(broken(&before, &after).len(), 1);
        assert_eq!(unwritten(&before, &after).len(), 1);
    }
}
