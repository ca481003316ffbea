// What a Node.js application does, by the AWS SDK or by nodemailer: endpoint and access key are in
// the environment.
//
// node with_node.cjs sdk|nodemailer send NAME STREAM_ARN DOMAIN HTML | metric NAME |
//     tour NAME ADDRESS | leave LIST DOMAIN | bulk NAME DOMAIN | account

const ses = require("@aws-sdk/client-sesv2");
const nodemailer = require("nodemailer");

const [library, step, name, stream, domain, html] = process.argv.slice(2);
const client = new ses.SESv2Client({});

async function prepare() {
  await client.send(new ses.CreateConfigurationSetCommand({ ConfigurationSetName: name }));
  await client.send(
    new ses.CreateConfigurationSetEventDestinationCommand({
      ConfigurationSetName: name,
      EventDestinationName: "clicks",
      EventDestination: {
        Enabled: true,
        MatchingEventTypes: ["CLICK"],
        KinesisFirehoseDestination: {
          IamRoleArn: "arn:aws:iam::000000000000:role/ses",
          DeliveryStreamArn: stream,
        },
      },
    }),
  );
  await client.send(new ses.CreateEmailIdentityCommand({ EmailIdentity: domain }));
  const found = await client.send(new ses.GetConfigurationSetCommand({ ConfigurationSetName: name }));
  if (found.ConfigurationSetName !== name) throw new Error(JSON.stringify(found));
}

async function bySdk() {
  const answer = await client.send(
    new ses.SendEmailCommand({
      FromEmailAddress: `News <news@${domain}>`,
      Destination: { ToAddresses: ["Reader <reader@gmail.com>"] },
      Content: {
        Simple: {
          Subject: { Data: "Grüße" },
          Body: { Html: { Data: html }, Text: { Data: "Hello" } },
        },
      },
      ConfigurationSetName: name,
      EmailTags: [{ Name: "campaign", Value: "summer" }],
    }),
  );
  return answer.MessageId;
}

async function byNodemailer() {
  const transport = nodemailer.createTransport({
    SES: { sesClient: client, SendEmailCommand: ses.SendEmailCommand },
  });
  await transport.verify();
  const sent = await transport.sendMail({
    from: `News <news@${domain}>`,
    to: "Reader <reader@gmail.com>",
    subject: "Grüße",
    text: "Hello",
    html,
    ses: { ConfigurationSetName: name, EmailTags: [{ Name: "campaign", Value: "summer" }] },
  });
  return sent.response;
}

async function send() {
  await prepare();
  const messageId = library === "sdk" ? await bySdk() : await byNodemailer();
  try {
    await client.send(new ses.GetConfigurationSetCommand({ ConfigurationSetName: `no-${name}` }));
    throw new Error("a configuration set that is not there was found");
  } catch (error) {
    if (!(error instanceof ses.NotFoundException)) throw error;
  }
  return { messageId };
}

async function metric() {
  const day = 24 * 60 * 60 * 1000;
  const answer = await client.send(
    new ses.BatchGetMetricDataCommand({
      Queries: [
        {
          Id: "click",
          Namespace: "VDM",
          Metric: "CLICK",
          Dimensions: { CONFIGURATION_SET: name },
          StartDate: new Date(Date.now() - day),
          EndDate: new Date(Date.now() + day),
        },
      ],
    }),
  );
  const [result] = answer.Results;
  return { [result.Id]: result.Values.reduce((sum, value) => sum + value, 0) };
}

// Calls what a round does not, with names and texts that are hard to sign; tells what came.
async function tour() {
  const address = stream;
  const arn = `arn:aws:ses:eu-central-1:000000000000:identity/${address}`;
  const seen = {};
  const call = (command, input) => client.send(new ses[`${command}Command`](input));
  await call("CreateEmailIdentity", { EmailIdentity: address });
  seen.type = (await call("GetEmailIdentity", { EmailIdentity: address })).IdentityType;
  const tags = [
    { Key: "a b", Value: "Grüße & mehr/=?" },
    { Key: "x+y", Value: "1" },
  ];
  await call("TagResource", { ResourceArn: arn, Tags: tags });
  await call("UntagResource", { ResourceArn: arn, TagKeys: ["x+y"] });
  seen.tags = (await call("ListTagsForResource", { ResourceArn: arn })).Tags;
  const set = { ConfigurationSetName: name };
  await call("CreateConfigurationSet", set);
  await call("PutConfigurationSetTrackingOptions", {
    ...set,
    CustomRedirectDomain: "click.example.com",
  });
  await call("PutConfigurationSetVdmOptions", {
    ...set,
    VdmOptions: { DashboardOptions: { EngagementMetrics: "ENABLED" } },
  });
  await call("PutEmailIdentityConfigurationSetAttributes", { EmailIdentity: address, ...set });
  await call("PutConfigurationSetSendingOptions", { ...set, SendingEnabled: false });
  const found = await call("GetConfigurationSet", set);
  seen.redirect = found.TrackingOptions.CustomRedirectDomain;
  seen.engagement = found.VdmOptions.DashboardOptions.EngagementMetrics;
  const nameOf = (error) => error.name;
  seen.paused = await call("SendEmail", {
    FromEmailAddress: address,
    Destination: { ToAddresses: ["reader@gmail.com"] },
    Content: { Simple: { Subject: { Data: "x" }, Body: { Text: { Data: "x" } } } },
  }).catch(nameOf);
  seen.missing = await call("GetDedicatedIpPool", { PoolName: name }).catch(nameOf);
  await call("DeleteEmailIdentity", { EmailIdentity: address });
  await call("DeleteConfigurationSet", set);
  return seen;
}

// Makes a contact list, and sends an email for it; tells who is on it by then.
async function leave() {
  const [list, domain] = [name, stream];
  const named = { ContactListName: list };
  await client.send(new ses.CreateContactListCommand(named));
  const reader = { ...named, EmailAddress: "reader@gmail.com" };
  await client.send(new ses.CreateContactCommand(reader));
  const html = '<a href="{{amazonSESUnsubscribeUrl}}">off</a>';
  const options = { ListManagementOptions: named };
  if (library === "sdk") {
    await client.send(
      new ses.SendEmailCommand({
        FromEmailAddress: `news@${domain}`,
        Destination: { ToAddresses: ["reader@gmail.com"] },
        Content: { Simple: { Subject: { Data: "x" }, Body: { Html: { Data: html } } } },
        ...options,
      }),
    );
  } else {
    const transport = nodemailer.createTransport({
      SES: { sesClient: client, SendEmailCommand: ses.SendEmailCommand },
    });
    const to = { from: `news@${domain}`, to: "reader@gmail.com" };
    await transport.sendMail({ ...to, subject: "x", html, ses: options });
  }
  const found = await client.send(new ses.GetContactCommand(reader));
  return { unsubscribed: found.UnsubscribeAll };
}

// Makes a template, and suppresses an address; writes to that and another, and tells what became of
// each.
async function bulk() {
  const [template, domain] = [name, stream];
  const [from, gone] = [`news@${domain}`, `gone@${domain}`];
  await client.send(
    new ses.CreateEmailTemplateCommand({
      TemplateName: template,
      TemplateContent: { Subject: "Hi {{name}}", Html: "<p>{{name}}</p>" },
    }),
  );
  await client.send(
    new ses.PutSuppressedDestinationCommand({ EmailAddress: gone, Reason: "BOUNCE" }),
  );
  const listed = await client.send(new ses.ListSuppressedDestinationsCommand({ PageSize: 1000 }));
  const found = listed.SuppressedDestinationSummaries.map((each) => each.EmailAddress);
  if (!found.includes(gone)) throw new Error(JSON.stringify(listed));
  const readers = ["reader@gmail.com", gone];
  if (library === "sdk") {
    const answer = await client.send(
      new ses.SendBulkEmailCommand({
        FromEmailAddress: from,
        DefaultContent: { Template: { TemplateName: template, TemplateData: '{"name": "you"}' } },
        BulkEmailEntries: readers.map((each) => ({ Destination: { ToAddresses: [each] } })),
      }),
    );
    return answer.BulkEmailEntryResults.map((each) => each.Status);
  }
  const transport = nodemailer.createTransport({
    SES: { sesClient: client, SendEmailCommand: ses.SendEmailCommand },
  });
  const became = [];
  for (const to of readers) {
    const sending = transport.sendMail({ from, to, subject: "Hi you", html: "<p>you</p>" });
    became.push(await sending.then(() => "SUCCESS", (error) => error.name));
  }
  return became;
}

async function account() {
  try {
    const answer = await client.send(new ses.GetAccountCommand({}));
    return { sending: answer.SendingEnabled };
  } catch (error) {
    return { error: error.name };
  }
}

const steps = { send, metric, tour, leave, bulk, account };
steps[step]().then(
  (answer) => console.log(JSON.stringify(answer)),
  (error) => {
    console.error(error);
    process.exitCode = 1;
  },
);
