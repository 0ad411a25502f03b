//! Owns the names of Asterisk's options: which are supported, which are known and not supported yet, and what is said
//! about the others.

use crate::conf::{Diagnostics, Entry, suggestion};

/// The option names of one kind of section.
pub(super) struct Options {
    /// What the section is called in a warning.
    pub(super) kind: &'static str,
    /// Separated by blanks, as is `known`.
    pub(super) supported: &'static str,
    /// Options that say what holds in any case, with the values that do: no warning.
    pub(super) holding: &'static [(&'static str, &'static [&'static str])],
    /// Options that Asterisk has and we do not.
    pub(super) known: &'static str,
}

impl Options {
    /// Says what becomes of an option that the section's reader has no use for.
    pub(super) fn report(&self, entry: &Entry, diagnostics: &mut Diagnostics) {
        if !diagnostics.first_look(&entry.place) {
            return;
        }
        let is = |name: &str| name.eq_ignore_ascii_case(&entry.key);
        let key = &entry.key;
        if let Some((_, values)) = self.holding.iter().find(|(name, _)| is(name)) {
            if !values.iter().any(|value| value.eq_ignore_ascii_case(&entry.value)) {
                diagnostics.warning(&entry.place, format!("`{key}` is not supported yet, ignored"));
            }
        } else if self.known.split_whitespace().any(is) {
            diagnostics.warning(&entry.place, format!("`{key}` is not supported yet, ignored"));
        } else {
            let hint = suggestion::hint(key, self.names());
            diagnostics.warning(&entry.place, format!("unknown option `{key}` in {}, ignored{hint}", self.kind));
        }
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        let holding = self.holding.iter().map(|(name, _)| *name);
        self.supported.split_whitespace().chain(holding).chain(self.known.split_whitespace())
    }
}

const NO: &[&str] = &["no", "false", "0", "off"];
const YES: &[&str] = &["yes", "true", "1", "on"];

pub(super) const SIP_GENERAL: Options = Options {
    kind: "sip.conf [general]",
    supported: "\
        context bindport port bindaddr udpbindaddr srvlookup disallow allow realm useragent nat qualify qualifyfreq \
        allowguest minexpiry minexpirey maxexpiry maxexpirey defaultexpiry defaultexpirey canreinvite directmedia \
        callerid",
    holding: &[
        ("dtmfmode", &["rfc2833", "auto"]),
        ("udpenable", YES),
        ("tcpenable", NO),
        ("tlsenable", NO),
        ("transport", &["udp"]),
        ("videosupport", NO),
        ("textsupport", NO),
        ("t38pt_udptl", NO),
        ("t38_udptl", NO),
        ("encryption", NO),
        ("websocket_enabled", NO),
        ("realtime", NO),
        ("rtcachefriends", NO),
        ("sipdebug", NO),
        ("alwaysauthreject", YES),
        ("compactheaders", NO),
        ("pedantic", YES),
        ("ignoreregexpire", NO),
        ("directrtpsetup", NO),
        ("allowoverlap", NO),
        ("dynamic_exclude_static", NO),
        ("autocreatepeer", NO),
    ],
    known: "\
        language tos tos_sip tos_audio tos_video tos_text cos cos_sip cos_audio cos_video cos_text tcpbindaddr \
        tlsbindaddr tlscertfile tlsprivatekey tlscafile tlscadir tlscapath tlsdontverifyserver tlscipher \
        tlsclientmethod tlsverifyclient register mohinterpret mohsuggest parkinglot recordhistory relaxdtmf \
        trustrpid sendrpid rpid_update prematuremedia progressinband callevents notifymimetype vmexten mwiexpiry \
        notifyringing notifyhold notifycid callcounter call-limit limitonpeers rtptimeout rtpholdtimeout \
        rtpkeepalive registertimeout registerattempts externip externaddr externhost externrefresh externtcpport \
        externtlsport localnet media_address allowexternaldomains allowtransfer allowsubscribe subscribecontext \
        autodomain domain fromdomain fromuser contactdeny contactpermit contactacl deny permit match_auth_username \
        authfailureevents auth_options_requests accept_outofcall_message outofcall_message_context \
        auth_message_requests session-timers session-expires session-minse session-refresher timert1 t1min timerb \
        timer_t1 timer_b maxcallbitrate jbenable jbforce jbmaxsize jbimpl jblog jbresyncthreshold jbtargetextra \
        outboundproxy rtsavesysname rtupdate rtautoclear rtsave_sysname usereqphone usecallerid maxforwards \
        dumphistory shrinkcallerid snom_aoc_enabled sdpsession sdpowner parkext use_q850_reason regcontext \
        regextenonqualify regexten legacy_useroption_parsing send_diversion musicclass musiconhold g726nonstandard \
        preferred_codec_only constantssrc subscribe_network_change_event store_sip_cause ignoresdpversion busylevel \
        avpf icesupport force_avp timezone buggymwi qualifygap qualifypeers domainsasrealm unsolicited_mailbox \
        submwiexpiry tcpauthtimeout tcpauthlimit faxdetect t38pt_usertpsource discard_remote_hold_retrieval \
        refer_addheaders autoframing disallowed_methods callingpres allow_anonymous subminexpiry subdefaultexpiry \
        websocket_write_timeout",
};

pub(super) const SIP_PEER: Options = Options {
    kind: "a sip.conf peer",
    supported: "\
        type callerid cid_number fullname username defaultuser secret md5secret host port nat canreinvite \
        directmedia context qualify qualifyfreq disallow allow call-limit insecure accountcode",
    holding: &[
        ("dtmfmode", &["rfc2833", "auto"]),
        ("transport", &["udp"]),
        ("videosupport", NO),
        ("textsupport", NO),
        ("t38pt_udptl", NO),
        ("encryption", NO),
        ("avpf", NO),
        ("icesupport", NO),
        ("dynamic", YES),
        ("ignoresdpversion", NO),
        ("directrtpsetup", NO),
        ("allowoverlap", NO),
        ("preferred_codec_only", NO),
    ],
    known: "\
        language mailbox vmexten amaflags callgroup pickupgroup namedcallgroup namedpickupgroup \
        busylevel callcounter subscribecontext allowsubscribe allowtransfer deny permit acl directmediadeny \
        directmediapermit directmediaacl contactdeny contactpermit contactacl fromuser fromdomain regexten defaultip \
        remotesecret auth sendrpid trustrpid rpid_update trust_id_outbound progressinband promiscredir useclientcode \
        setvar musicclass musiconhold mohinterpret mohsuggest parkinglot hasvoicemail hassip hasiax rtptimeout \
        rtpholdtimeout rtpkeepalive session-timers session-expires session-minse session-refresher timert1 timerb \
        outboundproxy cc_agent_policy cc_monitor_policy callbackextension usereqphone maxcallbitrate \
        t38pt_usertpsource faxdetect constantssrc callingpres cid_tag unsolicited_mailbox subscribemwi \
        registertrying maxforwards dtlsenable dtlsverify dtlsrekey dtlscertfile dtlsprivatekey dtlscipher dtlscafile \
        dtlscapath dtlssetup dtlsfingerprint force_avp rtcp_mux keepalive snom_aoc_enabled use_q850_reason \
        encryption_taglen autoframing send_diversion description tonezone discard_remote_hold_retrieval \
        refer_addheaders disallowed_methods buggymwi media_address legacy_useroption_parsing supportpath \
        outofcall_message_context regserver regseconds ipaddr lastms fullcontact outgoinglimit incominglimit \
        t38_udptl email jbenable ringtime",
};

pub(super) const PJSIP_GLOBAL: Options = Options {
    kind: "a pjsip.conf global section",
    supported: "type user_agent default_realm",
    holding: &[("debug", NO), ("disable_multi_domain", YES), ("endpoint_identifier_order", &["ip,username,anonymous"])],
    known: "\
        max_forwards keep_alive_interval contact_expiration_check_interval default_outbound_endpoint \
        max_initial_qualify_time unidentified_request_count unidentified_request_period \
        unidentified_request_prune_interval default_from_user default_voicemail_extension regcontext \
        mwi_tps_queue_high mwi_tps_queue_low mwi_disable_initial_unsolicited ignore_uri_user_options \
        use_callerid_contact send_contact_status_on_update_registration taskprocessor_overload_trigger norefersub \
        all_codecs_on_empty_reinvite allow_sending_180_after_183 default_auth_algorithms_uas \
        default_auth_algorithms_uac",
};

pub(super) const PJSIP_TRANSPORT: Options = Options {
    kind: "a pjsip.conf transport",
    supported: "type protocol bind",
    holding: &[
        ("async_operations", &["1"]),
        ("allow_reload", NO),
        ("symmetric_transport", NO),
        ("allow_wildcard_certs", NO),
    ],
    known: "\
        domain external_media_address external_signaling_address external_signaling_port local_net tos cos cert_file \
        priv_key_file ca_list_file ca_list_path cipher method password require_client_cert verify_client \
        verify_server websocket_write_timeout tcp_keepalive_enable tcp_keepalive_idle_time \
        tcp_keepalive_interval_time tcp_keepalive_probe_count",
};

pub(super) const PJSIP_AUTH: Options = Options {
    kind: "a pjsip.conf auth",
    supported: "type auth_type username password md5_cred realm supported_algorithms_uas",
    holding: &[],
    known: "nonce_lifetime refresh_token oauth_clientid oauth_secret password_digest supported_algorithms_uac",
};

pub(super) const PJSIP_AOR: Options = Options {
    kind: "a pjsip.conf aor",
    supported: "\
        type max_contacts remove_existing qualify_frequency contact default_expiration minimum_expiration \
        maximum_expiration",
    holding: &[
        ("authenticate_qualify", NO),
        ("support_path", NO),
        ("remove_unavailable", NO),
        ("qualify_2xx_only", NO),
    ],
    known: "mailboxes outbound_proxy qualify_timeout voicemail_extension",
};

pub(super) const PJSIP_IDENTIFY: Options = Options {
    kind: "a pjsip.conf identify section",
    supported: "type endpoint match",
    holding: &[("srv_lookups", NO)],
    known: "match_header match_request_uri transport",
};

pub(super) const PJSIP_ENDPOINT: Options = Options {
    kind: "a pjsip.conf endpoint",
    supported: "\
        type transport context disallow allow auth aors callerid direct_media rtp_symmetric force_rport \
        rewrite_contact identify_by accountcode",
    holding: &[
        ("dtmf_mode", &["rfc4733", "auto"]),
        ("media_encryption", NO),
        ("ice_support", NO),
        ("use_avpf", NO),
        ("webrtc", NO),
        ("rtcp_mux", NO),
        ("bundle", NO),
        ("t38_udptl", NO),
        ("disable_direct_media_on_nat", NO),
        ("allow_overlap", NO),
        ("media_use_received_transport", NO),
        ("force_avp", NO),
        ("use_ptime", NO),
        ("inband_progress", NO),
        ("one_touch_recording", NO),
        ("mwi_subscribe_replaces_unsolicited", NO),
    ],
    known: "\
        from_user from_domain outbound_auth outbound_proxy mailboxes language moh_suggest moh_passthrough call_group \
        pickup_group named_call_group named_pickup_group device_state_busy_at trust_id_inbound trust_id_outbound \
        send_pai send_rpid send_diversion send_history_info send_connected_line rpid_immediate callerid_privacy \
        callerid_tag set_var message_context subscribe_context allow_subscribe allow_transfer 100rel \
        timers timers_min_se timers_sess_expires media_address bind_rtp_to_media_address media_encryption_optimistic \
        g726_non_standard connected_line_method direct_media_method direct_media_glare_mitigation rtp_ipv6 \
        rtp_engine rtp_keepalive rtp_timeout rtp_timeout_hold record_on_feature record_off_feature sdp_owner \
        sdp_session tone_zone tos_audio tos_video cos_audio cos_video user_eq_phone voicemail_extension \
        sub_min_expiry mwi_from_user deny permit acl contact_deny contact_permit contact_acl max_audio_streams \
        max_video_streams fax_detect fax_detect_timeout t38_udptl_ec t38_udptl_maxdatagram t38_udptl_nat \
        t38_udptl_ipv6 t38_bind_udptl_to_media_address aggregate_mwi suppress_q850_reason_headers \
        ignore_183_without_sdp accept_multiple_sdp_answers follow_early_media_fork notify_early_inuse_ringing \
        asymmetric_rtp_codec preferred_codec_only incoming_mwi_mailbox incoming_call_offer_pref \
        outgoing_call_offer_pref codec_prefs_incoming_offer codec_prefs_outgoing_offer codec_prefs_incoming_answer \
        codec_prefs_outgoing_answer stir_shaken stir_shaken_profile dtls_auto_generate_cert dtls_ca_file \
        dtls_ca_path dtls_cert_file dtls_cipher dtls_fingerprint dtls_private_key dtls_rekey dtls_setup dtls_verify \
        srtp_tag_32 security_negotiation security_mechanisms allow_unauthenticated_options \
        geoloc_incoming_call_profile geoloc_outgoing_call_profile refer_blind_progress send_aoc tenantid \
        overlap_context contact_user cc_agent_policy cc_monitor_policy",
};

pub(super) const RTP: Options = Options {
    kind: "rtp.conf [general]",
    supported: "rtpstart rtpend",
    holding: &[("icesupport", NO), ("rtpchecksums", YES), ("strictrtp", &["yes", "seqno"])],
    known: "\
        rtcpinterval dtmftimeout probation learning_min_sequential stunaddr turnaddr turnusername turnpassword \
        turnport stun_blacklist stun_acl ice_blacklist ice_acl ice_deny ice_permit stun_deny stun_permit dtls_mtu \
        rtp_keepalive ice_host_candidates",
};
