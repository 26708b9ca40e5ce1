// nodemailer sends one message; says on one line of JSON what came of it: client.cjs LETTER-AS-JSON
'use strict';
const fs = require('fs');
const nodemailer = require('nodemailer');

const letter = JSON.parse(process.argv[2]);

const transport = nodemailer.createTransport({
    host: '127.0.0.1',
    port: letter.port,
    name: 'client.test',
    lmtp: letter.protocol === 'lmtp',
    requireTLS: letter.starttls,
    ignoreTLS: !letter.starttls,
    tls: { servername: letter.server_name, ca: fs.readFileSync(letter.ca_file) }
});

transport
    .sendMail({
        envelope: { from: letter.sender, to: [letter.recipient] },
        raw: letter.text,
        requireTLSExtensionEnabled: letter.requiretls
    })
    .then(
        info => ({ code: Number(info.response.slice(0, 3)), said: info.response }),
        error => ({ code: error.responseCode || 0, said: `${error.code}: ${error.response || error.message}` })
    )
    .then(result => console.log(JSON.stringify(result)));
