use std::{fmt::Write, hint::black_box, time::Instant};
use vault_catalog::Catalog;
use vault_domain::*;
use vault_policy::*;
fn rss() -> u64 {
    let s = std::fs::read_to_string("/proc/self/statm").unwrap();
    s.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
}
fn bench(name: &str, n: usize, mut f: impl FnMut()) {
    for _ in 0..n / 10 {
        f()
    }
    let mut best = f64::MAX;
    let mut all = vec![];
    for _ in 0..9 {
        let t = Instant::now();
        for _ in 0..n {
            f()
        }
        let v = t.elapsed().as_nanos() as f64 / n as f64;
        best = best.min(v);
        all.push(v);
    }
    all.sort_by(f64::total_cmp);
    println!("{name}: median {:.1} ns, best {best:.1} ns", all[4]);
}
fn catalog_text(accounts: usize, grants: usize) -> String {
    let mut t = "[tenants.acme]\n[regions.eu]\n[audiences.payments]\n[purposes.settlement]\n".to_owned();
    for c in 0..250 {
        writeln!(t, "[classes.c{c}]\nrule=\"pan\"").unwrap();
    }
    for p in 0..10 {
        writeln!(t, "[purposes.p{p}]").unwrap();
    }
    for n in 0..accounts {
        writeln!(t, "[accounts.\"spiffe://prod.tokenvault.internal/ns/payments/sa/{n:06}\"]\ntenant=\"acme\"\nregions=[\"eu\"]\naudiences=[\"payments\"]\ngrants=[").unwrap();
        for g in 0..grants {
            writeln!(
                t,
                "{{actions=[\"tokenize\",\"detokenize\"],classes=[\"c{g}\"],purposes=[\"settlement\",\"p{}\"]}},",
                g % 10
            )
            .unwrap();
        }
        t.push_str("]\n");
    }
    t
}
fn main() {
    for (accounts, grants) in [(1usize, 1usize), (1, 200), (1000, 10), (100_000, 2)] {
        let text = catalog_text(accounts, grants);
        let r0 = rss();
        let t = Instant::now();
        let catalog = Catalog::parse(&text).unwrap();
        let parse = t.elapsed();
        let r1 = rss();
        let t = Instant::now();
        let set = PolicySet::load(&[PolicySource::DEFAULT], &catalog).unwrap();
        let load = t.elapsed();
        let r2 = rss();
        println!(
            "--- {accounts} accounts, {grants} grants each, {:.1} MB text: parse {parse:?} (rss {r0} -> {r1} MB), load {load:?} (rss {r2} MB)",
            text.len() as f64 / 1e6
        );
        let principal =
            PrincipalId::parse(&format!("spiffe://prod.tokenvault.internal/ns/payments/sa/{:06}", accounts - 1))
                .unwrap();
        let (class, audience, purpose, region) = (
            DataClass::parse(&format!("c{}", grants - 1)).unwrap(),
            Audience::parse("payments").unwrap(),
            Purpose::parse("settlement").unwrap(),
            Region::parse("eu").unwrap(),
        );
        let q = Request {
            principal: &principal,
            purpose: Some(&purpose),
            ask: Ask::Detokenize(DataScope { class: &class, audience: &audience, region: &region }),
        };
        assert!(set.decide(&q).is_allowed());
        bench("evaluate (uncached)", 5000, || {
            black_box(set.evaluate(black_box(&q)));
        });
        bench("decide (cached)", 2_000_000, || {
            black_box(set.decide(black_box(&q)));
        });
        bench("catalog.account", 2_000_000, || {
            black_box(catalog.account(black_box(principal.as_str())));
        });
        bench("catalog.class", 2_000_000, || {
            black_box(catalog.class(black_box("c0")));
        });
        if accounts == 100_000 {
            let all: Vec<_> = catalog.accounts().map(|a| a.principal().clone()).collect();
            let t = Instant::now();
            for p in &all {
                let q = Request { principal: p, ..q };
                black_box(set.decide(&q));
            }
            println!("100k distinct: {:?}, cached {}, rss {} MB", t.elapsed(), set.decisions_cached(), rss());
            let t = Instant::now();
            let mut hits = 0;
            for p in &all {
                let q = Request { principal: p, ..q };
                hits += black_box(set.decide(&q)).is_allowed() as u32;
            }
            println!("again: {:?} {hits}", t.elapsed());
            let small = &all[..1000];
            for p in small {
                set.decide(&Request { principal: p, ..q });
            }
            bench("decide (cached), 1000 principals in turn", 2000, || {
                for p in small {
                    black_box(set.decide(&Request { principal: p, ..q }));
                }
            });
        }
        std::thread::scope(|s| {
            let hs: Vec<_> = (0..2)
                .map(|_| {
                    s.spawn(|| {
                        let t = Instant::now();
                        for _ in 0..2_000_000 {
                            black_box(set.decide(black_box(&q)));
                        }
                        t.elapsed().as_nanos() / 2_000_000
                    })
                })
                .collect();
            for h in hs {
                println!("2 threads: {} ns", h.join().unwrap());
            }
        });
    }
    // many policies
    let catalog = Catalog::parse(&catalog_text(1, 1)).unwrap();
    for n in [0usize, 20, 200] {
        let text: String = (0..n).map(|i| format!("@id(\"f{i}\") forbid(principal, action == Vault::Action::\"detokenize\", resource == Vault::DataClass::\"c{i}\") when {{ context has purpose && context.purpose == Vault::Purpose::\"p1\" }};")).collect();
        let t = Instant::now();
        let set = PolicySet::load(&[PolicySource::DEFAULT, PolicySource { name: "x", text: &text }], &catalog).unwrap();
        println!("{n} more policies: load {:?}", t.elapsed());
        let (principal, class, audience, purpose, region) = (
            PrincipalId::parse("spiffe://prod.tokenvault.internal/ns/payments/sa/000000").unwrap(),
            DataClass::parse("c0").unwrap(),
            Audience::parse("payments").unwrap(),
            Purpose::parse("settlement").unwrap(),
            Region::parse("eu").unwrap(),
        );
        let q = Request {
            principal: &principal,
            purpose: Some(&purpose),
            ask: Ask::Detokenize(DataScope { class: &class, audience: &audience, region: &region }),
        };
        bench("evaluate", 2000, || {
            black_box(set.evaluate(black_box(&q)));
        });
    }
}
