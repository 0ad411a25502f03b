use super::*;

fn at(seconds: u64) -> ClusterTime {
    ClusterTime::from_millis(seconds * 1000)
}

fn hex(named: &Named) -> String {
    named.encode().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn encodings_stay_as_they_were() {
    let kept = Named::kept(Hash([1; 32]), 70_000, ClusterTime(7));
    let removed = Named::Removed { changed: ClusterTime(8) };
    assert_eq!(hex(&kept), format!("8200835820{}1a0001117007", "01".repeat(32)));
    assert_eq!(hex(&removed), "82018108");
    let small = Named::small(b"abc".to_vec(), ClusterTime(9));
    assert_eq!(hex(&small), format!("8200845820{}030943616263", Hash::of(b"abc")));
    for named in [kept, removed, small] {
        assert_eq!(Named::decode(&named.encode()), Ok(named));
    }
}

#[test]
fn what_does_not_fit_its_name_is_refused() {
    let wrong = [
        Named::Kept { content: Hash::of(b"abd"), bytes: 3, changed: at(1), small: Some(b"abc".to_vec()) },
        Named::Kept { content: Hash::of(b"abc"), bytes: 4, changed: at(1), small: Some(b"abc".to_vec()) },
        Named::kept(Hash::default(), CONTENT_BYTES_MAX + 1, at(1)),
    ];
    for named in wrong {
        assert!(Named::decode(&named.encode()).is_err(), "{named:?}");
    }
    let long = Named::small(vec![0; SMALL_BYTES_MAX + 1], at(1));
    assert!(long.carried().is_none() && long.content() == Some(Hash::of(&vec![0; SMALL_BYTES_MAX + 1])));
}

#[test]
fn the_newer_word_holds_whichever_side_asks() {
    let words = [
        Named::kept(Hash([1; 32]), 1, at(5)),
        Named::kept(Hash([2; 32]), 1, at(5)),
        Named::Removed { changed: at(5) },
        Named::Removed { changed: at(6) },
        Named::kept(Hash([0; 32]), 1, at(7)),
    ];
    for a in &words {
        assert!(!a.outweighs(a));
        for b in words.iter().filter(|b| *b != a) {
            assert_ne!(a.outweighs(b), b.outweighs(a), "{a:?} {b:?}");
        }
    }
    assert!(words[3].outweighs(&words[1]) && words[4].outweighs(&words[3]) && words[1].outweighs(&words[0]));
}

#[test]
fn a_move_leaves_a_removal_behind_which_outweighs_the_old_word() {
    let before = Named::kept(Hash([1; 32]), 1, at(5));
    let (here, there) = before.moved(at(9));
    assert!(here.outweighs(&before) && there.outweighs(&before));
    assert_eq!((here.content(), there.content()), (None, before.content()));
}

#[test]
fn removals_are_remembered_for_a_while_and_not_too_many_of_them() {
    let gone = |seconds| Named::Removed { changed: at(seconds) };
    let kept = Named::kept(Hash([1; 32]), 1, at(0));
    let now = ClusterTime::ZERO + REMOVAL_KEPT + Duration::from_secs(10);
    let named = [("a", gone(9)), ("b", gone(11)), ("c", kept)];
    let list = || named.iter().map(|(name, named)| (*name, named));
    assert_eq!(forgettable(list(), now), ["a"]);
    let names: Vec<String> = (0..REMOVALS_MAX).map(|number| format!("{number}")).collect();
    let newer = gone(1_000);
    let many = names.iter().map(|name| (name.as_str(), &newer));
    assert_eq!(forgettable(list().chain(many), at(1_000)), ["a", "b"]);
}
