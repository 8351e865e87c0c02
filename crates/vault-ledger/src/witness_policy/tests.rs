//! Policies of witnesses as they are read, refused, and met.

use crate::{testing::TestSigner, *};

fn key(seed: u8) -> String {
    let name = Origin::parse(&format!("witness.example/{seed}")).unwrap();
    WitnessKey::new(name, &TestSigner::new(seed).public_key()).unwrap().to_string()
}

fn five() -> String {
    (1..=5).map(|seed| format!("witness w{seed} {} https://w{seed}.example/\n", key(seed))).collect()
}

#[test]
fn the_quorum_of_the_standards_example_is_two_of_three_and_any_of_two() {
    let text = format!(
        "# ours and theirs\nlog any\n\n{}\tgroup X 2 w1 w2 w3\ngroup Y any w4 w5\ngroup both all X Y\nquorum both\n",
        five()
    );
    let policy = WitnessPolicy::parse(&text).unwrap();
    assert_eq!(policy.witnesses().len(), 5);
    assert_eq!(policy.witnesses()[1].url.as_deref(), Some("https://w2.example/"));
    for (cosigned, met) in [
        (&[0, 1, 3][..], true),
        (&[0, 2, 4], true),
        (&[0, 1, 2, 3, 4], true),
        (&[0, 1, 2], false),
        (&[0, 3, 4], false),
        (&[0, 0, 3], false),
        (&[], false),
    ] {
        assert_eq!(policy.is_met(cosigned), met, "{cosigned:?}");
    }
}

#[test]
fn one_witness_and_none_are_quorums_too() {
    let one = WitnessPolicy::parse(&format!("{}quorum w2\n", five())).unwrap();
    assert!(one.is_met(&[1]) && !one.is_met(&[0, 2, 3, 4]));
    let none = WitnessPolicy::parse("quorum none").unwrap();
    assert!(none.is_met(&[]) && none.witnesses().is_empty());
}

#[test]
fn what_is_no_policy_is_refused_with_its_line() {
    let five = five();
    let again = key(1).replace("witness.example/1", "another");
    for (tail, line) in [
        ("", 0),
        ("quorum w6\n", 6),
        ("quorum w1\nquorum w1\n", 7),
        ("group g 0 w1\nquorum g\n", 6),
        ("group g 3 w1 w2\nquorum g\n", 6),
        ("group g +1 w1 w2\nquorum g\n", 6),
        ("group g any\nquorum g\n", 6),
        ("group g any g\nquorum g\n", 6),
        ("group g any w1 w1\nquorum g\n", 6),
        ("group g any w1\ngroup h any w1\nquorum h\n", 7),
        ("group w1 any w2\nquorum w1\n", 6),
        ("group none any w2\nquorum none\n", 6),
        ("witness w6 x\nquorum w1\n", 6),
        ("witnes w6 x\nquorum w1\n", 6),
        ("quorum w1\r\n", 6),
        (&format!("witness w6 {again}\nquorum w1\n"), 6),
        (&format!("witness w1 {}\nquorum w1\n", key(6)), 6),
    ] {
        let fault = WitnessPolicy::parse(&format!("{five}{tail}")).unwrap_err();
        assert_eq!(fault.line, line, "{tail}: {fault}");
    }
}
