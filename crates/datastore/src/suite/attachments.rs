//! Files attached to documents.

use serde_json::{Value, json};

use super::Subject;
use super::subject::{content, doc_id, soon};
use crate::{Result, StoreError};

/// `hello` and `world`, as drafts carry them.
const HELLO: &str = "aGVsbG8=";
const WORLD: &str = "d29ybGQ=";

fn inline(content_type: &str, data: &str) -> Value {
    json!({"content_type": content_type, "data": data})
}

async fn attachment(subject: &Subject, id: &str, name: &str) -> Result<Vec<u8>> {
    let bytes = subject.store.fetch_attachment(&subject.db, &doc_id(id), name, soon()).await?;
    Ok(bytes.to_vec())
}

/// Attachments can have any bytes and any name. The document lists them as stubs.
pub async fn inline_attachments_are_stored_and_listed_as_stubs(subject: Subject) {
    // All 256 bytes, in base64.
    let every = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0BBQkNERUZH\
        SElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6e3x9fn+AgYKDhIWGh4iJiouMjY6P\
        kJGSk5SVlpeYmZqbnJ2en6ChoqOkpaanqKmqq6ytrq+wsbKztLW2t7i5uru8vb6/wMHCw8TFxsfIycrLzM3Oz9DR0tPU1dbX\
        2Nna29zd3t/g4eLj5OXm5+jp6uvs7e7v8PHy8/T19vf4+fr7/P3+/w==";
    let body = json!({"name": "A", "_attachments": {
        "private_key.pem": inline("application/octet-stream", every),
        "a b/ü?.txt": inline("text/plain", HELLO),
        "empty": inline("text/plain", ""),
    }});
    subject.create("a b/c", body).await;
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(attachment(&subject, "a b/c", "private_key.pem").await.unwrap(), all);
    assert_eq!(attachment(&subject, "a b/c", "a b/ü?.txt").await.unwrap(), b"hello");
    assert!(attachment(&subject, "a b/c", "empty").await.unwrap().is_empty());

    let content = content(&subject.fetch("a b/c").await.unwrap());
    assert_eq!(content["name"], json!("A"));
    let stub = &content["_attachments"]["private_key.pem"];
    assert_eq!((&stub["stub"], &stub["length"], &stub["revpos"]), (&json!(true), &json!(256), &json!(1)));
    assert_eq!(stub["content_type"], json!("application/octet-stream"));
    assert!(stub["digest"].as_str().unwrap().starts_with("md5-"));
    assert!(stub.get("data").is_none());
    assert_eq!(content["_attachments"].as_object().unwrap().len(), 3);
}

/// A client that writes a document back with its stubs keeps the attachments.
pub async fn stubs_keep_attachments_on_an_update(subject: Subject) {
    let rev = subject.create("a", json!({"_attachments": {"x": inline("text/plain", HELLO)}})).await;
    let mut body = content(&subject.fetch("a").await.unwrap());
    body["name"] = json!("new");
    body["_attachments"]["y"] = inline("text/plain", WORLD);
    subject.update("a", &rev, body).await;
    assert_eq!(attachment(&subject, "a", "x").await.unwrap(), b"hello");
    assert_eq!(attachment(&subject, "a", "y").await.unwrap(), b"world");
    let content = content(&subject.fetch("a").await.unwrap());
    assert_eq!(content["_attachments"]["x"]["revpos"], json!(1));
    assert_eq!(content["_attachments"]["y"]["revpos"], json!(2));
}

/// An attachment is removed if the update has no stub of it.
pub async fn an_update_removes_attachments_without_a_stub(subject: Subject) {
    let both = json!({"x": inline("text/plain", HELLO), "y": inline("text/plain", WORLD)});
    let rev = subject.create("a", json!({ "_attachments": both })).await;
    let rev = subject.update("a", &rev, json!({"_attachments": {"y": {"stub": true}}})).await;
    let error = attachment(&subject, "a", "x").await.unwrap_err();
    assert!(matches!(error, StoreError::Missing(_)), "{error:?}");
    assert_eq!(attachment(&subject, "a", "y").await.unwrap(), b"world");
    subject.update("a", &rev, json!({"name": "A"})).await;
    assert!(attachment(&subject, "a", "y").await.unwrap_err().is_not_found());
    assert_eq!(content(&subject.fetch("a").await.unwrap()), json!({"name": "A"}));
}

/// An update can replace the bytes and the type of an attachment.
pub async fn attachments_are_replaced(subject: Subject) {
    let rev = subject.create("a", json!({"_attachments": {"x": inline("text/plain", HELLO)}})).await;
    subject.update("a", &rev, json!({"_attachments": {"x": inline("text/html", WORLD)}})).await;
    assert_eq!(attachment(&subject, "a", "x").await.unwrap(), b"world");
    let content = content(&subject.fetch("a").await.unwrap());
    let stub = &content["_attachments"]["x"];
    assert_eq!((&stub["content_type"], &stub["revpos"]), (&json!("text/html"), &json!(2)));
}

/// The document, the attachment or the database is missing, or the document was deleted.
pub async fn fetching_a_missing_attachment_fails(subject: Subject) {
    let rev = subject.create("a", json!({"_attachments": {"x": inline("text/plain", HELLO)}})).await;
    for (id, name) in [("a", "y"), ("b", "x")] {
        let error = attachment(&subject, id, name).await.unwrap_err();
        assert!(matches!(error, StoreError::Missing(_)), "{id} {name}: {error:?}");
    }
    subject.delete("a", &rev).await.unwrap();
    assert!(attachment(&subject, "a", "x").await.unwrap_err().is_not_found());
    subject.create("a", json!({})).await;
    assert!(attachment(&subject, "a", "x").await.unwrap_err().is_not_found());
    let missing = subject.in_db(subject.other_db("nowhere"));
    let error = attachment(&missing, "a", "x").await.unwrap_err();
    assert!(matches!(error, StoreError::DatabaseMissing(_)), "{error:?}");
}

/// A draft cannot list an attachment that the document does not have.
pub async fn a_stub_without_an_attachment_is_refused(subject: Subject) {
    let rev = subject.create("a", json!({"n": 1})).await;
    let error = subject.try_save("a", Some(&rev), json!({"_attachments": {"x": {"stub": true}}})).await;
    assert!(matches!(error, Err(StoreError::Invalid(_))), "{error:?}");
    assert_eq!(content(&subject.fetch("a").await.unwrap()), json!({"n": 1}));
}
