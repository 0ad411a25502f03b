//! The way to a database server over TLS: whom a node believes, whom it does not, and the words for it; by `tandem cdr` for
//! each of the two kinds of server, by the status and `tandem doctor` of a pair for one of them.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use tandem_lab::nodes::Node;
use tandem_lab::stores::{Authority, DATABASE, PASSWORD, Server, USER};

use super::room::{Ground, NODES, binary, write_password};
use super::{ONE, TWO};

/// In the folder above the nodes'.
const BELIEVED: &str = "believed.pem";
const STRANGER: &str = "stranger.pem";
const NO_CERTIFICATE: &str = "password";

const REFUSED: &str = "no secure connection";

struct Servers {
    mysql: Server,
    postgres: Server,
}

impl Servers {
    fn each(&mut self, mut work: impl FnMut(&mut Server)) {
        work(&mut self.mysql);
        work(&mut self.postgres);
    }
}

fn store(scheme: &str, address: Ipv4Addr) -> String {
    format!("store = \"{scheme}://{USER}@{address}/{DATABASE}\"\npassword_file = \"../password\"\n")
}

/// What `tandem cdr` on a node's host says with these settings of both stores: nothing when it is let in.
fn told(ground: &Ground, settings: &str) -> [String; 2] {
    [("mysql", ONE), ("postgres", TWO)].map(|(scheme, (_, address))| {
        let folder = ground.directory.join("asks");
        fs::create_dir_all(&folder).expect("a folder");
        let records = store(scheme, address) + settings;
        let text = format!("[node]\nname = \"asks\"\nstate_dir = \"state\"\n\n[records]\n{records}");
        fs::write(folder.join("tandem.toml"), text).expect("a file");
        let node = Node::with_config(ground.host(NODES[0].0), &binary(), &folder).expect("a node");
        let (code, text) = node.operate(&["cdr"]).expect("the program");
        if code == Some(0) { String::new() } else { text }
    })
}

fn is_let_in(ground: &Ground, settings: &str) {
    assert_eq!(told(ground, settings), ["", ""], "{settings}");
}

fn is_refused(ground: &Ground, settings: &str, words: &str) {
    for text in told(ground, settings) {
        assert!(text.contains(words), "{settings}: `{words}` is not in: {text}");
    }
}

fn believe(authority: &Authority, directory: &Path, name: &str) {
    fs::copy(authority.file(), directory.join(name)).expect("a copy");
}

#[test]
fn a_server_is_believed_by_its_certificate() {
    let ground = Ground::new(&[ONE, TWO]);
    let directory = ground.directory.clone();
    write_password(&directory, PASSWORD);
    let authority = Authority::make(&directory.join("authority"), "believed").expect("an authority");
    let stranger = Authority::make(&directory.join("authority"), "stranger").expect("an authority");
    believe(&authority, &directory, BELIEVED);
    believe(&stranger, &directory, STRANGER);
    let mut servers = Servers {
        mysql: Server::mariadb(ground.host(ONE.0), &directory).expect("a server"),
        postgres: Server::postgres(ground.host(TWO.0), &directory).expect("a server"),
    };
    servers.each(|server| {
        server.start(false).expect("a server");
        server.make_database().expect("a database");
    });

    // Servers without TLS.
    is_let_in(&ground, "");
    is_let_in(&ground, "tls = \"off\"\n");
    is_refused(&ground, "tls = \"required\"\n", REFUSED);
    is_refused(&ground, &format!("ca_file = \"../{BELIEVED}\"\n"), REFUSED);

    // Servers with a certificate for another name.
    servers.each(|server| {
        server.stop().expect("the end of a server");
        server.use_certificate(&authority.sign("DNS:db.example").expect("a certificate")).expect("a certificate");
        server.start(false).expect("a server");
    });
    is_let_in(&ground, "tls = \"required\"\n");
    is_refused(&ground, &format!("ca_file = \"../{BELIEVED}\"\n"), REFUSED);

    // Servers with a certificate of their own.
    servers.each(|server| {
        server.stop().expect("the end of a server");
        let reached_by = format!("IP:{}", server.host.address);
        server.use_certificate(&authority.sign(&reached_by).expect("a certificate")).expect("a certificate");
        server.start(false).expect("a server");
    });
    is_let_in(&ground, &format!("tls = \"required\"\nca_file = \"../{BELIEVED}\"\n"));
    is_let_in(&ground, "");
    is_refused(&ground, &format!("ca_file = \"../{STRANGER}\"\n"), REFUSED);
    is_refused(&ground, "ca_file = \"../nowhere.pem\"\n", "nobody vouches for it");
    is_refused(&ground, &format!("ca_file = \"../{NO_CERTIFICATE}\"\n"), "holds no certificate in PEM");
    // A user who is let in over TLS only.
    servers.mysql.admin(&format!("ALTER USER {USER}@'%' REQUIRE SSL")).expect("a rule");
    let [text, _] = told(&ground, "tls = \"off\"\n");
    assert!(text.contains("it refuses the user or the password"), "{text}");

    // A pair whose file has the wrong authority at first.
    believe(&stranger, &directory, BELIEVED);
    let mut room = ground.pair_with(&(store("postgres", TWO.1) + &format!("ca_file = \"../{BELIEVED}\"\n")));
    room.round(|_| {});
    room.wait_told("it is not believed", |records| {
        records["trouble"].as_str().is_some_and(|trouble| trouble.contains(REFUSED))
    });
    for node in 0..2 {
        let told = room.doctor(node);
        assert!(told.len() == 1 && told[0].0 == "problem" && told[0].1.contains(REFUSED), "{told:?}");
    }
    believe(&authority, &directory, BELIEVED);
    room.wait_records(0);
    room.equal(&[&servers.postgres], 0);
    let told = room.doctor(0);
    assert!(told.len() == 1 && told[0].0 == "ok" && told[0].1.contains("the table fits"), "{told:?}");
}
