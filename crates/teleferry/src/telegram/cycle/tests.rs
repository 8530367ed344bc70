//! The cycle against a scripted network, in virtual time.

use std::collections::HashMap;
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use hyper::Uri;
use teleferry_proto::telegram_config::{MiddleSecret, TelegramConfig};
use tempfile::TempDir;
use tokio::time::Instant;

use super::super::http::FetchError;
use super::super::source::Fetched;
use super::*;
use crate::config::ExternalIp;

const SECRET: &str = "http://telegram.example/secret";
const CONFIG: &str = "http://telegram.example/config";
const CONFIG_V6: &str = "http://telegram.example/config6";
const WHO: [&str; 2] = ["http://a.example/", "http://b.example/"];

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// What the network says to a URL.
#[derive(Clone)]
enum Answer {
    Body(Vec<u8>),
    Nothing,
    Status(u16),
}

/// The network of a test.
#[derive(Default)]
struct Script {
    answers: RefCell<HashMap<&'static str, Answer>>,
    asked: RefCell<Vec<(String, Instant)>>,
    own: Cell<Option<IpAddr>>,
    clock_offset: Cell<Option<i64>>,
}

impl Source for Rc<Script> {
    async fn get(&self, url: &Uri, limit: usize, _: Option<Family>) -> Result<Fetched, FetchError> {
        let url = url.to_string();
        self.asked.borrow_mut().push((url.clone(), Instant::now()));
        let answer = self.answers.borrow().get(url.as_str()).cloned();
        match answer {
            Some(Answer::Body(body)) if body.len() > limit => Err(FetchError::TooLong(limit)),
            Some(Answer::Body(body)) => Ok(Fetched { body, clock_offset: self.clock_offset.get() }),
            Some(Answer::Status(status)) => Err(FetchError::Status(status)),
            Some(Answer::Nothing) => pending().await,
            None => Err(FetchError::Status(404)),
        }
    }

    fn own_address(&self, target: SocketAddr) -> Option<IpAddr> {
        self.own.get().filter(|own| own.is_ipv4() == target.is_ipv4())
    }
}

/// A cycle and the network it asks.
struct Stage {
    script: Rc<Script>,
    known: watch::Receiver<Arc<Known>>,
    cycle: Cycle<Rc<Script>>,
    state: TempDir,
}

impl Stage {
    /// Telegram publishes other things than are built in; nobody tells addresses.
    fn new() -> Self {
        let state = tempfile::tempdir().expect("a directory");
        let settings = Telegram {
            proxy_secret_url: Uri::from_static(SECRET),
            proxy_config_url: Uri::from_static(CONFIG),
            proxy_config_v6_url: Uri::from_static(CONFIG_V6),
            ip_lookup: WHO.map(Uri::from_static).into(),
            ..Telegram::default()
        };
        let script = Rc::new(Script::default());
        let known = watch::Sender::new(Arc::new(Known::embedded()));
        let stage = Self {
            script: Rc::clone(&script),
            known: known.subscribe(),
            cycle: Cycle {
                settings,
                source: script,
                known,
                cache: RefCell::new(Cache::new(state.path())),
                said: Said::default(),
            },
            state,
        };
        stage.say(SECRET, secret(1).as_bytes());
        stage.say(CONFIG, b"default 2; proxy_for 2 192.0.2.2:8888;");
        stage.say(CONFIG_V6, b"proxy_for 2 [2001:db8::2]:8888;");
        stage
    }

    fn say(&self, url: &'static str, body: &[u8]) {
        self.answer(url, Answer::Body(body.to_vec()));
    }

    fn answer(&self, url: &'static str, answer: Answer) {
        self.script.answers.borrow_mut().insert(url, answer);
    }

    /// Lets the cycle run for a time, which passes at once; it begins anew each time.
    async fn run(&self, time: Duration) {
        // Nothing here waits for anything but virtual time.
        assert!(tokio::time::timeout(time, self.cycle.run()).await.is_err(), "it never ends");
    }

    fn targets(&self) -> Vec<String> {
        let known = self.known.borrow();
        known.middle_proxies().iter().flat_map(|(_, targets)| targets).map(ToString::to_string).collect()
    }

    fn knows_secret(&self, filler: u8) -> bool {
        self.known.borrow().secret() == &secret(filler)
    }

    /// When a URL was asked for.
    fn asked(&self, url: &str) -> Vec<Instant> {
        self.script.asked.borrow().iter().filter(|(asked, _)| asked == url).map(|&(_, when)| when).collect()
    }
}

fn secret(filler: u8) -> MiddleSecret {
    MiddleSecret::new(&[filler; 128]).expect("a secret")
}

#[tokio::test(start_paused = true)]
async fn everything_is_fetched_at_once() {
    let stage = Stage::new();
    stage.run(Duration::from_millis(1)).await;
    assert!(stage.knows_secret(1));
    assert_eq!(stage.targets(), ["192.0.2.2:8888", "[2001:db8::2]:8888"]);
}

#[tokio::test(start_paused = true)]
async fn f_21_each_item_goes_its_own_way() {
    let bad: [(&str, Answer); 6] = [
        ("is refused", Answer::Status(500)),
        ("hangs", Answer::Nothing),
        ("is a web page", Answer::Body(b"<html>error</html>".to_vec())),
        ("is empty", Answer::Body(Vec::new())),
        ("is garbage", Answer::Body(vec![b'x'; 300])),
        ("is too long", Answer::Body(vec![b'x'; 2 << 20])),
    ];
    for (what, answer) in bad {
        for broken in [SECRET, CONFIG, CONFIG_V6] {
            let stage = Stage::new();
            stage.script.own.set(Some([10, 0, 0, 1].into()));
            WHO.iter().for_each(|service| stage.answer(service, answer.clone()));
            stage.answer(broken, answer.clone());
            stage.run(HOUR * 2).await;
            let embedded = Known::embedded();
            let known = Arc::clone(&stage.known.borrow());
            assert_eq!(known.secret() == embedded.secret(), broken == SECRET, "{broken} {what}");
            let has = |target: &str| stage.targets().iter().any(|found| found == target);
            assert_eq!(has("192.0.2.2:8888"), broken != CONFIG, "{broken} {what}");
            assert_eq!(has("[2001:db8::2]:8888"), broken != CONFIG_V6, "{broken} {what}");
            assert_eq!(known.external_ip(), ExternalIp::default());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn f_21_a_configured_address_is_never_asked_for_or_overwritten() {
    let mut stage = Stage::new();
    let configured = ExternalIp { v4: Some([198, 51, 100, 1].into()), v6: None };
    stage.cycle.settings.external_ip = configured;
    stage.cycle.publish(|known| known.with_external_ip(configured));
    stage.script.own.set(Some([10, 0, 0, 1].into()));
    stage.say(WHO[0], b"203.0.113.7");
    stage.run(HOUR * 2).await;
    assert_eq!(stage.known.borrow().external_ip(), configured);
    assert!(WHO.iter().all(|service| stage.asked(service).is_empty()));
    assert!(stage.knows_secret(1), "everything else is fetched");
}

#[tokio::test(start_paused = true)]
async fn services_are_asked_in_turn_and_only_from_behind_nat() {
    let own = |text: &str| Some(text.parse().expect("an address"));
    for (own, asked) in [
        (own("10.0.0.1"), true),
        (own("203.0.113.9"), false),
        (own("127.0.0.1"), false),
        (own("2001:db8::1"), false),
        (None, false),
    ] {
        let stage = Stage::new();
        stage.script.own.set(own);
        stage.say(WHO[0], b"<html>203.0.113.6</html>");
        stage.say(WHO[1], b"203.0.113.7\n");
        stage.run(MINUTE).await;
        let v4 = asked.then(|| [203, 0, 113, 7].into());
        assert_eq!(stage.known.borrow().external_ip(), ExternalIp { v4, v6: None }, "{own:?}");
        for service in WHO {
            assert_eq!(stage.asked(service).len(), usize::from(asked), "{own:?} {service}");
        }
    }
    let mut silent = Stage::new();
    silent.cycle.settings.ip_lookup.clear();
    silent.script.own.set(own("10.0.0.1"));
    silent.run(MINUTE).await;
    assert_eq!(silent.known.borrow().external_ip(), ExternalIp::default());
}

#[tokio::test(start_paused = true)]
async fn each_family_has_its_own_address() {
    let stage = Stage::new();
    stage.script.own.set("fd00::1".parse().ok());
    stage.say(WHO[0], b"203.0.113.7");
    stage.say(WHO[1], b"2001:db8::7");
    stage.run(MINUTE).await;
    let v6 = "2001:db8::7".parse().ok();
    assert_eq!(stage.known.borrow().external_ip(), ExternalIp { v4: None, v6 });
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_public_now_needs_no_other() {
    let stage = Stage::new();
    stage.script.own.set(Some([10, 0, 0, 1].into()));
    stage.say(WHO[0], b"203.0.113.7");
    stage.run(MINUTE).await;
    assert!(stage.known.borrow().external_ip().v4.is_some());
    // Without a way to Telegram for a while, nothing is forgotten.
    stage.script.own.set(None);
    stage.run(MINUTE).await;
    assert!(stage.known.borrow().external_ip().v4.is_some());
    stage.script.own.set(Some([203, 0, 113, 9].into()));
    stage.run(MINUTE).await;
    assert_eq!(stage.known.borrow().external_ip(), ExternalIp::default());
}

#[tokio::test(start_paused = true)]
async fn f_22_a_refresh_picks_up_what_changed() {
    let stage = Stage::new();
    let change = async {
        sleep(MINUTE * 50).await;
        assert_eq!(stage.asked(CONFIG).len(), 1, "not before the time");
        stage.say(SECRET, secret(2).as_bytes());
        stage.say(CONFIG, b"proxy_for 3 192.0.2.3:8888;");
        sleep(MINUTE * 20).await;
        assert!(stage.knows_secret(2));
        assert_eq!(stage.targets(), ["[2001:db8::2]:8888", "192.0.2.3:8888"]);
        assert_eq!(stage.known.borrow().default_dc().get(), 2);
        assert_eq!(stage.asked(CONFIG).len(), 2);
    };
    tokio::select! {
        () = stage.cycle.run() => {}
        () = change => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_sooner() {
    let stage = Stage::new();
    stage.answer(SECRET, Answer::Status(502));
    let mend = async {
        sleep(MINUTE).await;
        let asked = stage.asked(SECRET);
        assert!((3..=5).contains(&asked.len()), "5, 10, 20 and 40 s apart: {asked:?}");
        assert_eq!(stage.asked(CONFIG).len(), 1);
        assert!(!stage.knows_secret(1));
        stage.say(SECRET, secret(1).as_bytes());
        sleep(MINUTE).await;
        assert!(stage.knows_secret(1));
        let asked = stage.asked(SECRET).len();
        sleep(MINUTE * 50).await;
        assert_eq!(stage.asked(SECRET).len(), asked, "and then in an hour");
    };
    tokio::select! {
        () = stage.cycle.run() => {}
        () = mend => {}
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_woken_without_news() {
    let mut stage = Stage::new();
    stage.run(MINUTE).await;
    assert!(stage.known.has_changed().expect("the cycle lives"));
    stage.known.mark_unchanged();
    stage.script.clock_offset.set(Some(-31));
    stage.run(HOUR * 5).await;
    assert!(stage.asked(CONFIG).len() >= 5);
    assert!(!stage.known.has_changed().expect("the cycle lives"));
    assert_eq!(stage.known.borrow().clock_offset(), Some(-31), "and yet the clock was compared");
}

#[tokio::test(start_paused = true)]
async fn good_copies_are_kept_for_the_next_start() {
    let stage = Stage::new();
    stage.run(MINUTE).await;
    // What is no good spoils no copy.
    stage.say(SECRET, b"<html>");
    stage.say(CONFIG, b"");
    stage.answer(CONFIG_V6, Answer::Status(404));
    stage.run(HOUR * 2).await;
    let kept = Cache::new(stage.state.path());
    let copies = Item::ALL.map(|item| kept.load(item).expect("readable").expect("kept"));
    let known = copies.into_iter().fold(Known::embedded(), Known::with);
    assert_eq!(known.secret(), &secret(1));
    let mut expected = TelegramConfig::default();
    expected.default_dc = Some(known.default_dc());
    expected.add(known.default_dc(), "192.0.2.2:8888".parse().expect("an address"));
    expected.add(known.default_dc(), "[2001:db8::2]:8888".parse().expect("an address"));
    assert_eq!(known.middle_proxies(), &expected);
}
