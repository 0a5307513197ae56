//! A document's content comes back unchanged.

use serde_json::{Value, json};

use super::Subject;
use super::subject::{content, parsed};
use crate::{StoreError, ViewQuery};

/// Objects keep the order of their members.
pub async fn members_keep_their_order(subject: Subject) {
    subject.create("a", json!({"z": 1, "b": {"y": 1, "a": [{"q": 1, "c": 2}]}, "a": 2, "0": 3})).await;
    let doc = subject.fetch("a").await.unwrap();
    let members = doc.members().unwrap();
    let keys: Vec<&str> = members.iter().map(|(key, _)| &**key).filter(|key| !key.starts_with('_')).collect();
    assert_eq!(keys, ["z", "b", "a", "0"]);
    assert_eq!(content(&doc)["b"].to_string(), r#"{"y":1,"a":[{"q":1,"c":2}]}"#);
}

/// Integers of any size stay exact. Fractions and exponents keep their value.
pub async fn numbers_survive_by_value(subject: Subject) {
    let integers = ["0", "-1", "9007199254740993", "18446744073709551616", "-123456789012345678901234567890"];
    let floats = ["1.0", "1e3", "1.5", "-2.5e-7", "1E+20", "0.1", "1.7976931348623157e308"];
    let text = format!(r#"{{"integers":[{}],"floats":[{}]}}"#, integers.join(","), floats.join(","));
    subject.create("a", parsed(&text)).await;
    let stored = content(&subject.fetch("a").await.unwrap());
    for (wanted, got) in integers.iter().zip(stored["integers"].as_array().unwrap()) {
        assert_eq!(&got.to_string(), wanted);
    }
    for (wanted, got) in floats.iter().zip(stored["floats"].as_array().unwrap()) {
        let (wanted, got): (f64, f64) = (wanted.parse().unwrap(), got.to_string().parse().unwrap());
        assert!(wanted.total_cmp(&got).is_eq(), "{wanted} became {got}");
    }
}

/// Text in any script comes back unchanged.
pub async fn unicode_survives(subject: Subject) {
    let body = json!({
        "grüße": "日本語 עברית",
        "😀": ["👩‍👩‍👧‍👦", "e\u{301}", "é"],
        "control": "\u{0}\u{1f}\u{7f}\n\r\t\"\\/\u{2028}\u{fffd}",
    });
    subject.create("a", body.clone()).await;
    assert_eq!(content(&subject.fetch("a").await.unwrap()), body);
}

/// Keys that some libraries treat specially are ordinary keys.
pub async fn odd_keys_survive(subject: Subject) {
    let body = parsed(
        r#"{"":{"":[]},"$serde_json::private::Number":"1","x":{"$serde_json::private::Number":"2"},
            "$serde_json::private::RawValue":"3","y":{"$serde_json::private::RawValue":"[4"},
            "constructor":5,"proto":{"__proto__":6},"toString":7,"a.b":8,"length":9}"#,
    );
    subject.design("d", &[("v", "function (doc) { emit(doc.length, null); }")]).await;
    subject.create("a", body.clone()).await;
    assert_eq!(content(&subject.fetch("a").await.unwrap()).to_string(), body.to_string());
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!(9)]);
}

/// No part of an id is taken for a path, a query or an escape.
pub async fn ids_may_have_odd_characters(subject: Subject) {
    let long = "x".repeat(1024);
    let ids = [
        "a b", "a?b=c", "100%", "%41", "%2F", "a#b", "a+b", "a/b", "/", "a//b", "a/../b", "...", "日本", "é",
        "😀", "'", "\"", "\\", "a&b", "a:b", "a;b,c", "{}", "[]", "<a>", "~", "-", "$x", "A", &long,
    ];
    for id in ids {
        subject.create(id, json!({"at": id})).await;
    }
    for id in ids {
        let doc = subject.fetch(id).await.unwrap();
        assert_eq!((doc.id().as_str(), content(&doc)), (id, json!({"at": id})));
        assert!(subject.try_save(id, None, json!({})).await.unwrap_err().is_conflict(), "{id}");
    }
    let mut listed = subject.ids(ViewQuery::all_docs()).await;
    listed.sort();
    let mut wanted = ids.map(str::to_owned);
    wanted.sort();
    assert_eq!(listed, wanted);
    for id in ids {
        let rev = subject.fetch(id).await.unwrap().rev().clone();
        subject.delete(id, &rev).await.unwrap();
    }
    assert!(subject.ids(ViewQuery::all_docs()).await.is_empty());
}

/// A store accepts a document of four megabytes.
pub async fn big_documents_survive(subject: Subject) {
    subject.design("d", &[("v", "function (doc) { emit(doc.items.length, null); }")]).await;
    let items: Vec<Value> = (0..4_000).map(|n| json!(format!("{n:05}{}", "ü".repeat(500)))).collect();
    let body = json!({ "items": items });
    subject.create("a", body.clone()).await;
    assert!(content(&subject.fetch("a").await.unwrap()) == body, "a big document changed");
    assert_eq!(subject.keys(ViewQuery::of("d", "v")).await, [json!(4_000)]);
}

/// CouchDB's default limit is eight million bytes.
pub async fn too_big_documents_are_refused(subject: Subject) {
    let error = subject.try_save("a", None, json!({"text": "x".repeat(9_000_000)})).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge(_)), "{error:?}");
    assert!(subject.fetch("a").await.unwrap_err().is_not_found());
    subject.create("a", json!({})).await;
}
