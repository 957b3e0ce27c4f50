-- AlterTable
ALTER TABLE "sessions" ADD COLUMN     "proof" JSONB;

-- CreateTable
CREATE TABLE "issuer_key_sets" (
    "rule_id" UUID NOT NULL,
    "project_id" UUID NOT NULL,
    "source" TEXT NOT NULL,
    "keys" JSONB NOT NULL DEFAULT '[]',
    "asked_at" TIMESTAMPTZ(3) NOT NULL,
    "fetched_at" TIMESTAMPTZ(3),

    CONSTRAINT "issuer_key_sets_pkey" PRIMARY KEY ("rule_id")
);

-- AddForeignKey
ALTER TABLE "issuer_key_sets" ADD CONSTRAINT "issuer_key_sets_rule_id_fkey" FOREIGN KEY ("rule_id") REFERENCES "trust_rules"("id") ON DELETE CASCADE ON UPDATE CASCADE;
